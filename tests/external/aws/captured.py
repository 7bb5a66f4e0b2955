"""What somebody does with boto3 who has a client certificate and gets placeholders for keys. Prints what came of it as JSON."""

import json
import os
import sys
from typing import Any

import boto3
import botocore
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

GATEWAY = os.environ["GATEWAY_URL"]
ROLE = os.environ["ROLE"]
STRANGER = os.environ["STRANGER"]
LARGE = bytes(index % 251 for index in range(1_500_000))
TRUST = {"RoleArn": ROLE, "RoleSessionName": "reports"}


def client(route: str, keys: dict[str, str] | None, certificate: str = os.environ["CLIENT"], **config: Any) -> Any:
    """A client of the service behind a route, that signs with these keys, or not at all."""
    said: dict[str, Any] = {"client_cert": certificate, "retries": {"total_max_attempts": 1}, **config}
    if keys is None:
        said["signature_version"] = botocore.UNSIGNED
    return boto3.client(
        "sts" if route == "who" else route,
        endpoint_url=f"{GATEWAY}/{route}",
        region_name="us-east-1",
        aws_access_key_id=(keys or {}).get("AccessKeyId"),
        aws_secret_access_key=(keys or {}).get("SecretAccessKey"),
        aws_session_token=(keys or {}).get("SessionToken"),
        verify=os.environ["GATEWAY_CA"],
        config=Config(**said),
    )


def s3(keys: dict[str, str], *, signs: bool) -> list[bool]:
    """Whether what was put is what is got: short, long, and in parts of a list; with bodies signed by their hash, or in frames."""
    s3 = client("s3", keys, s3={"addressing_style": "path", "payload_signing_enabled": signs})
    bucket = f"captured-{signs}".lower()
    s3.create_bucket(Bucket=bucket)
    bodies = {"a b/ü+$&=.txt": b"hello", "large": LARGE}
    for key, body in bodies.items():
        s3.put_object(Bucket=bucket, Key=key, Body=body, Metadata={"colour": "two  blanks"})
    found = [s3.get_object(Bucket=bucket, Key=key)["Body"].read() == body for key, body in bodies.items()]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1})
    return [*found, [entry["Key"] for page in pages for entry in page["Contents"]] == list(bodies)]


def dynamodb(keys: dict[str, str]) -> int:
    dynamodb = client("dynamodb", keys)
    names = {"KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
    dynamodb.create_table(TableName="captured", AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}], **names)
    dynamodb.put_item(TableName="captured", Item={"id": {"S": "ä"}, "text": {"S": "x" * 100_000}})
    return len(dynamodb.get_item(TableName="captured", Key={"id": {"S": "ä"}})["Item"]["text"]["S"])


def refusal(client: Any, action: str) -> str:
    """The code of the error that an action is answered with."""
    try:
        return str(getattr(client, action)())
    except ClientError as error:
        return str(error.response["Error"].get("Code"))
    except ResponseParserError:
        return "no XML"


sts = client("sts", None)
role = sts.assume_role(**TRUST)["Credentials"]
user = sts.get_session_token()["Credentials"]
web = sts.assume_role_with_web_identity(**TRUST, WebIdentityToken="x" * 20)["Credentials"]
told = {
    "words": [[each["AccessKeyId"], each["SecretAccessKey"], each["SessionToken"]] for each in (role, user, web)],
    "who": [client("who", keys).get_caller_identity()["Arn"] for keys in (role, web)],
    "user": refusal(client("who", user), "get_caller_identity"),
    "s3": [s3(role, signs=False), s3(role, signs=True)],
    "dynamodb": dynamodb(role),
    "stranger": refusal(client("dynamodb", role, STRANGER), "list_tables"),
    "mixed": refusal(client("dynamodb", {**role, "SecretAccessKey": user["SecretAccessKey"]}), "list_tables"),
    "other": refusal(client("dynamodb", {**role, "AccessKeyId": user["AccessKeyId"]}), "list_tables"),
    "region": refusal(client("sqs", role), "list_queues"),
    "withheld": refusal(sts, "get_caller_identity"),
}
sys.stdout.write(json.dumps(told))
