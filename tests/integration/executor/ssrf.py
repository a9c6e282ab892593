"""The corpus of requests that are to be refused, and of those that are to pass.

No name here is looked up anywhere: `NAMES` is all that the tests' resolver knows. A case that is
not refused would be tried for real, and fails its test by whatever comes of that.
"""

from collections.abc import Iterator

LOOPBACK = (
    *("127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "127.255.255.254", "127.0.0.1.", "localhost"),
    *("LOCALHOST", "localhost.", "LocalHost.", "2130706433", "0x7f000001", "0x7F000001"),
    *("017700000001", "0177.0.0.1", "0177.0.0.01", "0x7f.0.0.1", "0x7f.0x0.0x0.0x1", "0x7f.1"),
    *("127.0x1", "127.00.00.01", "0x7f.0.1", "00000177.1", "127.0.0.0x1", "%31%32%37.0.0.1"),
    *("127%2e0%2e0%2e1", "%6c%6f%63alhost", "%4cocalhost", "loc\talhost", "127.0.\n0.1"),
    *("\u2460\u2461\u2466.0.0.1", "127\u30020\u30020\u30021", "\uff11\uff12\uff17.0.0.1"),
    *("\u24db\u24de\u24d2\u24d0\u24db\u24d7\u24de\u24e2\u24e3", "local\u00adhost"),
    *("lo\u200dcalhost", "\U0001d7cf27.0.0.1"),
)
THIS_HOST = (
    *("0", "0.0.0.0", "0x0", "00", "0x00000000", "0.0", "0.1.2.3", "000.000.000.000", "[::]"),
    *("[0:0:0:0:0:0:0:0]", "[::0]", "0.0.0.0."),
)
METADATA = (
    *("169.254.169.254", "169.254.169.254.", "2852039166", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE"),
    *("0251.0376.0251.0376", "025177524776", "169.254.43518", "169.16689662", "0xa9.254.0251.254"),
    *("[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]", "[0:0:0:0:0:ffff:a9fe:a9fe]"),
    *("[fd00:ec2::254]", "[fe80::a9fe:a9fe]", "169.254.170.2", "100.100.100.200"),
    *("metadata.google.internal", "METADATA.google.internal.", "metadata", "instance-data"),
    *("[64:ff9b::a9fe:a9fe]", "[64:ff9b::169.254.169.254]", "[2002:a9fe:a9fe::1]", "192.0.0.192"),
    "1\uff16\uff19.254.169.254",
)
PRIVATE = (
    *("10.0.0.1", "10.255.255.255", "10.1", "0x0a000001", "167772161", "012.0.0.1", "172.16.0.1"),
    *("172.31.255.255", "0xac100001", "192.168.0.1", "192.168.1.254", "3232235521", "0xc0a80001"),
    *("0300.0250.0.1", "100.64.0.1", "100.127.255.255", "198.18.0.1", "198.19.255.255"),
    *("192.0.0.1", "192.0.0.8", "192.0.2.1", "198.51.100.7", "203.0.113.9", "192.88.99.1"),
    *("224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "0xffffffff", "4294967295"),
)
V6 = (
    *("[::1]", "[0:0:0:0:0:0:0:1]", "[::0001]", "[0000::1]", "[::ffff:127.0.0.1]", "[::127.0.0.1]"),
    *(
        "[::ffff:7f00:1]",
        "[::ffff:0:7f00:1]",
        "[::FFFF:10.0.0.1]",
        "[::ffff:8.8.8.8]",
        "[::8.8.8.8]",
    ),
    *("[64:ff9b::7f00:1]", "[64:ff9b::8.8.8.8]", "[64:ff9b:1::1]", "[2002:7f00:1::]", "[fc00::1]"),
    *("[2002:0a00:0001::1]", "[2001::1]", "[2001:0:7f00:1::]", "[2001:db8::1]", "[2001:10::1]"),
    *("[2001:20::1]", "[3fff::1]", "[5f00::1]", "[fd00::1]", "[fdff:ffff::1]", "[fe80::1]"),
    *("[febf::1]", "[fec0::1]", "[ff02::1]", "[ff0e::1]", "[100::1]", "[4000::1]", "[::2]"),
)
NAMED = (
    *("private.example", "mixed.example", "mixed-v6.example", "mapped.example", "shared.example"),
    *("xn--prvate-4va.example", "pr\u00edvate.example", "PRIVATE.EXAMPLE", "private.example."),
    *("deep.private.example", "nat64.example", "link.example", "multicast.example", "zero.example"),
    "any.localhost",
)
NAMES = {
    "localhost": ["127.0.0.1", "::1"],
    "any.localhost": ["127.0.0.1"],
    "metadata.google.internal": ["169.254.169.254"],
    "metadata": ["169.254.169.254"],
    "instance-data": ["169.254.169.254"],
    "private.example": ["10.0.0.1"],
    "xn--prvate-4va.example": ["10.0.0.1"],
    "deep.private.example": ["192.168.0.1"],
    "mixed.example": ["93.184.216.34", "127.0.0.1"],
    "mixed-v6.example": ["93.184.216.34", "2606:4700::1", "fd00::1"],
    "mapped.example": ["::ffff:127.0.0.1"],
    "shared.example": ["100.64.0.1"],
    "nat64.example": ["64:ff9b::7f00:1"],
    "link.example": ["fe80::1%lo"],
    "multicast.example": ["ff02::1"],
    "zero.example": ["0.0.0.0"],
    "public.example": ["93.184.216.34"],
}

OTHER_SCHEMES = (
    *("file:///etc/passwd", "FILE:///etc/passwd", "file://127.0.0.1/etc/passwd", "gopher://a/_x"),
    *("dict://127.0.0.1:11211/stat", "ftp://127.0.0.1/", "sftp://a/", "tftp://a/", "ldap://a/"),
    *("jar:http://a!/", "netdoc:///etc/passwd", "data:text/plain,x", "javascript:alert(1)"),
    *("unix:/var/run/docker.sock", "http+unix://%2Frun%2Fdocker.sock/", "ws://127.0.0.1/"),
    *("wss://127.0.0.1/", "smb://a/b", "phar://x", "php://input", "view-source:http://127.0.0.1/"),
    *("about:blank", "blob:http://127.0.0.1/x", "mailto:a@b.example", "localhost:80"),
)
TRICKS = (
    *("http://user@127.0.0.1/", "http://user:pw@127.0.0.1/", "http://public.example@127.0.0.1/"),
    *("http://127.0.0.1@public.example/", "http://127.0.0.1%2f@public.example/"),
    "http://a:b@public.example/",
    *("http:127.0.0.1/", "http:/127.0.0.1/", "http:///127.0.0.1/", "http:////127.0.0.1/"),
    *("http:\\\\127.0.0.1/", "http:\\127.0.0.1\\x", "http://127.0.0.1\\@public.example/"),
    *("hTTp://127.0.0.1/", "\thttp://127.0.0.1/\n"),
    *("ht\ntp://127.0.0.1/", "http://127.0.0.1:80\\@public.example:80/", "http://127.0.0.1?@a/"),
    *("http://127.0.0.1#@public.example/", "http://127.0.0.1:080/", "http://127.0.0.1:/"),
    *("http://public.example:22/", "http://public.example:25/", "http://public.example:6379/"),
    *("http://93.184.216.34:11211/", "https://public.example:5432/", "http://public.example:0/"),
    *("http://public.example:99999/", "http://public.example:80:22/", "http://public.example:2 2/"),
    *("http://[::1%25lo]/", "http://[fe80::1%25eth0]/", "http://[::1", "http://[127.0.0.1]/"),
    *("http://256.256.256.256/", "http://127.0.0.1.1/", "http://0x100000000/", "http://08.1/"),
    *("http://1.2.3.4.5/", "http://127.0.0.1%00.public.example/", "http://public.example%00/"),
    *(
        "http://a b.example/",
        "http://a<b.example/",
        "http://%zz/",
        "http://",
        "http://?x",
        "not a url",
    ),
    *("", "example.com/path", "http://xn--a\u00b7.example/"),
)
"""Hosts that two readers may see in different places, ports that are closed, and texts that are no
URLs at all."""

RELATIVE = frozenset(
    {"http:127.0.0.1/", "http:/127.0.0.1/", "http:\\127.0.0.1\\x", "not a url", "example.com/path"}
)
"""Which of them a redirect from http takes for a place on the same server, as browsers do."""


def refused() -> Iterator[str]:
    """URLs of which none may be called."""
    for host in (*LOOPBACK, *THIS_HOST, *METADATA, *PRIVATE, *V6, *NAMED):
        yield f"http://{host}/"
    for host in ("127.0.0.1", "[::1]", "169.254.169.254", "mixed.example"):
        yield f"https://{host}/latest/meta-data/"
        yield f"http://{host}:8080/"
    yield from OTHER_SCHEMES
    yield from TRICKS


def as_location(url: str) -> Iterator[str]:
    """`url` as a redirect may say it: whole, and without its scheme."""
    yield url
    if url.startswith("http://"):
        yield url.removeprefix("http:")
        yield "\\\\" + url.removeprefix("http://")


STATUSES = (301, 302, 303, 307, 308)

GOOD_HOSTS = (
    *("127.0.0.1", "127.0.0.2", "good.example", "GOOD.example", "good.example.", "%67ood.example"),
    *("b\u00fccher.example", "xn--bcher-kva.example", "good\u3002example", "0x7f000001", "127.1"),
    *("2130706433", "other.example", "\uff47ood.example", "go\tod.example", "two.example"),
)
GOOD_NAMES = {
    "good.example": ["127.0.0.1"],
    "xn--bcher-kva.example": ["127.0.0.1"],
    "other.example": ["127.0.0.2", "127.0.0.1"],
    "two.example": ["127.0.0.3", "127.0.0.1"],
}
GOOD_PLACES = (
    *(
        "/",
        "/a/b",
        "/a/../b",
        "/%20",
        "/a?b=c",
        "?q",
        "#fragment",
        "/a//b",
        "/\u00e9?\u00e9=\u00e9",
    ),
    *("\\a", "/a\tb", "/.", "/..", "/@", "/a:b", "/http://127.0.0.9/"),
)
