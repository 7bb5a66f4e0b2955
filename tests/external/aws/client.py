"""What somebody does with boto3 whose only key is the gateway's. Prints what came of it as JSON."""

import io
import json
import os
import sys
from typing import Any

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

GATEWAY = os.environ["GATEWAY_URL"]
BUCKET = os.environ["BUCKET"]
CONFIG = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
PARTS = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
LARGE = bytes(index % 251 for index in range(6 * 1024 * 1024))
ODD = "a b/ü+$&=.txt"


class Unseekable(io.RawIOBase):
    """A stream that can be read once."""

    def __init__(self, content: bytes) -> None:
        self.inner = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self.inner.readinto(buffer)


def client(service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=f"{GATEWAY}/{service}",
        region_name="us-east-1",
        aws_access_key_id=os.environ["GATEWAY_KEY"],
        aws_secret_access_key="unused",
        verify=os.environ["GATEWAY_CA"],
        config=CONFIG,
    )


def s3() -> dict[str, Any]:
    s3 = client("s3")

    def content(key: str) -> bytes:
        found: bytes = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        return found

    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=ODD, Body=b"hello", Metadata={"colour": "two  blanks"}, ContentType="text/plain")
    got = s3.get_object(Bucket=BUCKET, Key=ODD, Range="bytes=1-3")
    s3.put_object(Bucket=BUCKET, Key="large", Body=LARGE[:1_500_000])
    s3.put_object(Bucket=BUCKET, Key="stream", Body=io.BytesIO(LARGE[:200_000]), ChecksumAlgorithm="SHA256")
    s3.upload_fileobj(Unseekable(LARGE + b"tail"), BUCKET, "parts", Config=PARTS)
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, PaginationConfig={"PageSize": 2})
    told = {
        "get": [got["Body"].read().decode(), got["Metadata"], got["ContentType"]],
        "large": content("large") == LARGE[:1_500_000],
        "stream": content("stream") == LARGE[:200_000],
        "parts": content("parts") == LARGE + b"tail",
        "list": [entry["Key"] for page in pages for entry in page["Contents"]],
        "prefix": s3.list_objects_v2(Bucket=BUCKET, Prefix="a b/", Delimiter="/")["KeyCount"],
    }
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "large"}, {"Key": "parts"}]})
    told["left"] = s3.list_objects_v2(Bucket=BUCKET)["KeyCount"]
    try:
        content("none")
    except ClientError as error:
        told["missing"] = error.response["Error"]["Code"]
    return told


def dynamodb() -> int:
    dynamodb, table = client("dynamodb"), "table-" + BUCKET
    keys, names = [{"AttributeName": "id", "KeyType": "HASH"}], [{"AttributeName": "id", "AttributeType": "S"}]
    dynamodb.create_table(TableName=table, KeySchema=keys, AttributeDefinitions=names, BillingMode="PAY_PER_REQUEST")
    dynamodb.put_item(TableName=table, Item={"id": {"S": "ä"}, "text": {"S": "x" * 100_000}})
    return len(dynamodb.get_item(TableName=table, Key={"id": {"S": "ä"}})["Item"]["text"]["S"])


def denied() -> int | None:
    try:
        client("sqs").list_queues()
    except ClientError as error:
        status: int = error.response["ResponseMetadata"]["HTTPStatusCode"]
        return status
    return None


told = {"s3": s3(), "dynamodb": dynamodb(), "sts": client("sts").get_caller_identity()["Arn"], "denied": denied()}
sys.stdout.write(json.dumps(told))
