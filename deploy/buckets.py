"""Make the buckets that the servers and DVC need, where they are missing; ends when all are there."""

import sys

from boto3.session import Session
from botocore.exceptions import ClientError

client = Session().client("s3")
for name in sys.argv[1:]:
    try:
        client.head_bucket(Bucket=name)
    except ClientError:
        client.create_bucket(Bucket=name)
    print(f"s3://{name} is there")
