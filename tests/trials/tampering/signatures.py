"""Other signatures of a bundle."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from dxai.bundle import signing
from dxai.bundle.manifest import MODEL, SIGNATURE
from tests.trials.tampering.contents import flip
from tests.trials.tampering.target import Target, compact, hint_of, listing, payload_of, raw_of, sign_raw, signed_as


def stripped(_random: Random, target: Target) -> None:
    target.free(SIGNATURE)


def of_other_bundle(_random: Random, target: Target) -> None:
    target.put(SIGNATURE, target.other[SIGNATURE])


def other_white_space(random: Random, target: Target) -> None:
    data = target.files[SIGNATURE]
    spaced = json.dumps(json.loads(data), separators=random.choice(((", ", ":"), (",", ": "), (",\n", ":")))).encode()
    target.put(SIGNATURE, random.choice((spaced, b" " + data, b"\xef\xbb\xbf" + data, data.decode().encode("utf-16"))))


def other_key_order(random: Random, target: Target) -> None:
    record = json.loads(target.files[SIGNATURE])
    inner = random.choice((record, record["dsseEnvelope"], record["verificationMaterial"]))
    for name in random.sample(list(inner)[:-1], 1):
        inner[name] = inner.pop(name)
    target.put(SIGNATURE, compact(record))


def other_escapes(random: Random, target: Target) -> None:
    data = target.files[SIGNATURE].decode()
    spellings = (("in-toto", "in\\u002dtoto"), ("keyid", "k\\u0065yid"), ("+json", "\\u002bjson"), ("/", "\\/"))
    target.put(SIGNATURE, data.replace(*random.choice(spellings), 1).encode())


def doubled_key(random: Random, target: Target) -> None:
    data = target.files[SIGNATURE]
    old = random.choice((b'"payload":', b'"signatures":', b'"hint":', b'"dsseEnvelope":', b'"mediaType":'))
    target.put(SIGNATURE, data.replace(old, old + random.choice((b'"",', b"[],", b"{},", b"null,")) + old, 1))


def other_base64(random: Random, target: Target) -> None:
    """The same bytes in another spelling."""
    record = json.loads(target.files[SIGNATURE])
    holder, name = random.choice(
        ((record["dsseEnvelope"], "payload"), (record["dsseEnvelope"]["signatures"][0], "sig"))
    )
    text, at = holder[name], random.randrange(len(holder[name]))
    spellings = (
        f"{text[:at]}\n{text[at:]}",
        f"{text[:at]} {text[at:]}",
        f"{text}=",
        f"{text}====",
        text.rstrip("=") + "\0",
    )
    holder[name] = random.choice(spellings)
    target.put(SIGNATURE, compact(record))


def high_s(_random: Random, target: Target) -> None:
    """The other signature that ECDSA takes for the same bytes."""
    r, s = decode_dss_signature(raw_of(target))
    target.put(SIGNATURE, signed_as(target, encode_dss_signature(r, signing._ORDER - s)))


def other_der(random: Random, target: Target) -> None:
    raw = raw_of(target)
    long_form = bytes((0x30, 0x81, raw[1])) + raw[2:]
    padded = bytes((0x30, raw[1] + 1, 2, raw[3] + 1, 0)) + raw[4:]
    target.put(SIGNATURE, signed_as(target, random.choice((long_form, padded, raw + b"\0", raw[:-1], b"", b"\x30\0"))))


def odd_numbers(random: Random, target: Target) -> None:
    """r and s of a signature that a careless verifier takes."""
    values = (0, 1, signing._ORDER - 1, signing._ORDER, signing._ORDER + 1, 2**256, 2**4096)
    r, s = random.choices((*values, *decode_dss_signature(raw_of(target))), k=2)
    target.put(SIGNATURE, signed_as(target, encode_dss_signature(r, s)))
    if (r, s) == decode_dss_signature(raw_of(target)):
        stripped(random, target)


def other_hint(random: Random, target: Target) -> None:
    hint = random.choice(
        ("", "0" * 64, signing.fingerprint(target.stranger.public_key()), "x" * 100_000, "\x1b[2J", "한")
    )
    target.put(SIGNATURE, signing._envelope(payload_of(target), raw_of(target), hint))


def hint_of_other_type(random: Random, target: Target) -> None:
    hint: Any = random.choice((None, 0, 1.5, True, [], {}, [""], {"a": 1}, 10**400))
    target.put(SIGNATURE, signing._envelope(payload_of(target), raw_of(target), hint))


def other_payload(random: Random, target: Target) -> None:
    """Valid JSON, valid base64, another statement under the old signature."""
    statement = json.loads(payload_of(target))
    resources = statement["predicate"]["resources"]
    change = random.randrange(5)
    if change == 0:
        random.choice(resources)["digest"] = random.randbytes(32).hex()
    elif change == 1:
        resources.remove(random.choice(resources))
    elif change == 2:
        statement["subject"][0]["name"] = "other"
    elif change == 3:
        statement["predicateType"] = "https://slsa.dev/provenance/v1"
    else:
        statement["predicate"]["serialization"]["ignore_paths"].append(MODEL)
    target.put(SIGNATURE, signing._envelope(compact(statement), raw_of(target), hint_of(target)))


def other_statement(random: Random, target: Target) -> None:
    """A statement that is not the one of these files, signed by the trusted key."""
    statement = json.loads(payload_of(target))
    if random.random() < 0.5:
        statement["predicate"]["resources"].pop()
    else:
        statement["predicate"]["serialization"]["ignore_paths"].append(MODEL)
    payload = compact(statement)
    target.put(
        SIGNATURE, signing._envelope(payload, sign_raw(target.key, signing._authenticated(payload)), hint_of(target))
    )


def other_encoding(_random: Random, target: Target) -> None:
    """The payload signed without DSSE's type and lengths around it."""
    payload = payload_of(target)
    target.put(SIGNATURE, signing._envelope(payload, sign_raw(target.key, payload), hint_of(target)))


def more_in_envelope(random: Random, target: Target) -> None:
    record = json.loads(target.files[SIGNATURE])
    signatures = record["dsseEnvelope"]["signatures"]
    change = random.randrange(5)
    if change == 0:
        signatures.append(signatures[0])
    elif change == 1:
        signatures[0]["keyid"] = "x"
    elif change == 2:
        record["verificationMaterial"]["tlogEntries"].append({})
    elif change == 3:
        record["dsseEnvelope"]["payloadType"] = "text/plain"
    else:
        record["more"] = random.random()
    target.put(SIGNATURE, compact(record))


NO_SIGNATURES = (
    b"", b"{}", b"[]", b"null", b"0", b'""', b"[" * 100_000, b'{"a":' * 100_000, b"9" * 10_000, b"\xff\xfe\0", b"NaN",
    b'{"dsseEnvelope":[]}', b'{"dsseEnvelope":{},"verificationMaterial":[]}', b" " * (5 << 20),
    b"{" + b'"a":1,' * 100_000,
    b'{"dsseEnvelope":{"payload":1,"signatures":1},"verificationMaterial":{"publicKey":{"hint":1}}}',
    b'{"dsseEnvelope":{"payload":"","signatures":[]},"verificationMaterial":{"publicKey":{"hint":""}}}',
    b'{"dsseEnvelope":{"payload":"","signatures":[{"sig":"MAA="}]},"verificationMaterial":{"publicKey":{"hint":""}}}',
    b'{"dsseEnvelope":{"payload":"\xed\xa0\x80"}}',
    b'{"dsseEnvelope":{"payload":"\\ud800","signatures":[{"sig":"\\ud800"}]}}',
)  # fmt: skip


def no_signature(random: Random, target: Target) -> None:
    target.put(SIGNATURE, random.choice(NO_SIGNATURES))


def by_stranger(_random: Random, target: Target) -> None:
    target.sign(target.files, target.stranger)


def by_stranger_changed(random: Random, target: Target) -> None:
    target.sign(listing(target, {**target.files, MODEL: flip(random, target.files[MODEL], b"")}), target.stranger)


def by_stranger_named_as_trusted(_random: Random, target: Target) -> None:
    payload = payload_of(target)
    raw = sign_raw(target.stranger, signing._authenticated(payload))
    target.put(SIGNATURE, signing._envelope(payload, raw, hint_of(target)))
