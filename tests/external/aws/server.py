"""Amazon's services as moto imitates them, on a free port, checking every signature. Ends when its input does."""

import json
import sys
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}

server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
_, port = server.get_host_and_port()
iam: Any = boto3.client("iam", endpoint_url=f"http://127.0.0.1:{port}")
iam.create_user(UserName="gateway")
iam.put_user_policy(UserName="gateway", PolicyName="all", PolicyDocument=json.dumps(ALL))
key = iam.create_access_key(UserName="gateway")["AccessKey"]
known = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def client(service: str) -> Any:
    return boto3.client(service, endpoint_url=f"http://127.0.0.1:{port}", **known)


told = {"port": port, "id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
told["kms"] = client("kms").create_key()["KeyMetadata"]["Arn"]
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}]}
told["role"] = client("iam").create_role(RoleName="reports", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
client("iam").put_role_policy(RoleName="reports", PolicyName="all", PolicyDocument=json.dumps(ALL))
client("secretsmanager").create_secret(Name="prod/bot", SecretString=json.dumps({"token": "canary-value"}))
sys.stdout.write(json.dumps(told) + "\n")
sys.stdout.flush()
sys.stdin.read()
server.stop()
