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
sys.stdout.write(json.dumps({"port": port, "id": key["AccessKeyId"], "secret": key["SecretAccessKey"]}) + "\n")
sys.stdout.flush()
sys.stdin.read()
server.stop()
