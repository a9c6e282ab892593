"""Signatures are those of the published examples.

The first is `get-vanilla` of AWS's test suite for Signature Version 4, the others are the examples
of the S3 API reference for the authorization header.
"""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.executor.sigv4 import (
    Signable,
    Signer,
    authorization,
    canonical_path,
    canonical_query,
    query_pairs,
)
from penstock.infra.egress.urls import parse_url

NOTHING = hashlib.sha256().hexdigest()
SUITE = Signer("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1", "service")
GUIDE = Signer("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "us-east-1")
MOMENT = "20130524T000000Z"
HOST = ("host", "examplebucket.s3.amazonaws.com")
DATE = ("x-amz-date", MOMENT)
EMPTY = ("x-amz-content-sha256", NOTHING)
PUT_HASH = hashlib.sha256(b"Welcome to Amazon S3.").hexdigest()

PUBLISHED = {
    "range": (
        Signable("GET", "/test.txt", "", (HOST, ("range", "bytes=0-9"), EMPTY, DATE), NOTHING),
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "put": (
        Signable(
            "PUT",
            "/test%24file.text",
            "",
            (
                ("date", "Fri, 24 May 2013 00:00:00 GMT"),
                HOST,
                ("x-amz-content-sha256", PUT_HASH),
                DATE,
                ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ),
            PUT_HASH,
        ),
        "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "lifecycle": (
        Signable("GET", "/", "lifecycle=", (HOST, EMPTY, DATE), NOTHING),
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "list": (
        Signable("GET", "/", "max-keys=2&prefix=J", (HOST, EMPTY, DATE), NOTHING),
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


def test_the_suites_vanilla_request() -> None:
    moment = "20150830T123600Z"
    headers = (("host", "example.amazonaws.com"), ("x-amz-date", moment))
    said = authorization(Signable("GET", "/", "", headers, NOTHING), SUITE, moment)
    assert said == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_examples_of_s3(name: str) -> None:
    signable, signature = PUBLISHED[name]
    assert authorization(signable, GUIDE, MOMENT).endswith(f"Signature={signature}")


@pytest.mark.parametrize(
    ("url", "path", "query"),
    [
        ("https://h/test$file.text", "/test%24file.text", ""),
        ("https://h/a%2fb", "/a/b", ""),
        ("https://h", "/", ""),
        ("https://h/?lifecycle", "/", "lifecycle="),
        ("https://h/?b=2&a=%20&a=+&B=~_-.", "/", "B=~_-.&a=%20&a=%20&b=2"),
        ("https://h/\u00e9?\u00e9=\u00fc", "/%C3%A9", "%C3%A9=%C3%BC"),
    ],
)
def test_paths_and_queries_are_canonical(url: str, path: str, query: str) -> None:
    read = parse_url(url)
    assert canonical_path(read) == path
    assert canonical_query(query_pairs(read)) == query


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(st.lists(st.tuples(NAMES, NAMES), max_size=4))
def test_what_is_canonical_stays_as_it_is_when_it_is_sent(
    pairs: list[tuple[str, str]],
) -> None:
    first = parse_url("https://h/box").with_query(pairs)
    path, query = canonical_path(first), canonical_query(query_pairs(first))
    again = parse_url(f"https://h{path}?{query}")
    assert again.target.rstrip("?") == f"{path}?{query}".rstrip("?")
    assert canonical_query(query_pairs(again)) == query
    assert sorted(query_pairs(again)) == sorted(pairs)
