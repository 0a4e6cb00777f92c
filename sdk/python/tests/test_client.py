"""The rules of the client, against gateways that misbehave on purpose."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from fake import NETWORK, Gateway, Reply, Request, refusal, script

import millrace
from millrace import Client, Cursor, Key, Payer, Transfer
from millrace import streams as streams_module

KEY = Key.from_seed(bytes(32))
SIGNED = Transfer(1, 9, 8, 25, 3, 1_004).sign(KEY, NETWORK)
COMMITTED: Reply = (200, {"id": SIGNED.id, "status": "committed", "code": 0, "outcome": "applied"})
PENDING: Reply = (202, {"id": SIGNED.id, "status": "pending"})
FOUND = {"as_of": {"height": 9}, "id": SIGNED.id, "chain": 1, "height": 8, "position": 0, "packet": SIGNED.hex}
NOT_FOUND = refusal(1001, 404, "not found")


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(millrace.client, "_PAUSE_SECONDS", 0.001)


def test_the_same_bytes_are_submitted_until_something_is_heard() -> None:
    replies = (None, PENDING, (502, {}), refusal(42, 503, "busy", retry_after_seconds=0), refusal(40, 409), COMMITTED)
    with Gateway(script(*replies)) as gateway, Client(gateway.url) as client:
        assert client.submit(SIGNED).status == "committed"
        assert [request.body for request in gateway.asked] == [SIGNED.bytes] * len(replies)
        assert {request.headers["Content-Type"] for request in gateway.asked} == {"application/octet-stream"}


def test_another_gateway_is_asked_where_one_does_not_answer() -> None:
    with Gateway(script(refusal(43, 503, "stopping", retry_after_seconds=0))) as one:
        with Gateway(script(COMMITTED)) as other:
            gone = Gateway(script(None))
            gone.stop()
            client = Client([gone.url, one.url, other.url])
            assert client.submit(SIGNED).code == 0
            assert len(other.asked) == 1 and other.asked[0].body == SIGNED.bytes


def test_a_receipt_of_another_transaction_is_not_one_of_this() -> None:
    other = "00" * 32
    wrong: Reply = (200, {"id": other, "status": "committed", "code": 0, "outcome": "applied"})
    with Gateway(script(wrong)) as gateway, pytest.raises(millrace.WrongReceipt) as told:
        Client(gateway.url).submit(SIGNED)
    assert (told.value.id, told.value.told, told.value.transaction) == (SIGNED.id, other, SIGNED.bytes)
    found: Reply = (200, {**FOUND, "id": other, "code": 0})
    with Gateway(script(None, refusal(34, 422, "expired"), found)) as gateway, pytest.raises(millrace.WrongReceipt):
        Client(gateway.url).submit(SIGNED)


def test_what_was_perhaps_taken_is_looked_up_before_a_refusal_is_believed() -> None:
    found: Reply = (200, {**FOUND, "code": 0})
    for first in (None, refusal(40, 409), refusal(1003, 503, retry_after_seconds=0)):
        answers = script(first, refusal(34, 422, "expired"), found)
        with Gateway(answers) as gateway, Client(gateway.url) as client:
            receipt = client.submit(SIGNED)
            assert (receipt.status, receipt.height) == ("committed", 8)
            assert gateway.asked[-1].path == f"/v1/transactions/{SIGNED.id}"


def test_what_may_wait_at_one_node_is_not_given_up_for_what_another_says() -> None:
    denied = refusal(1005, 401, "unauthorized")
    for second, looked_up in ((refusal(36, 422, "nonce too far"), NOT_FOUND), (denied, denied)):
        with Gateway(script(None, second, looked_up, COMMITTED)) as gateway, Client(gateway.url) as client:
            assert client.submit(SIGNED).status == "committed"
        with Gateway(script(None, second, looked_up, PENDING)) as gateway, Client(gateway.url) as client:
            with pytest.raises(millrace.Unheard):
                client.submit(SIGNED, timeout=0.2)


def test_what_a_kept_connection_may_have_brought_is_not_forgotten() -> None:
    def answer(request: Request) -> Reply:
        if request.method == "GET":
            return account(0, [0])
        gateway.stop()
        return None

    gateway = Gateway(answer)
    with Client(gateway.url) as client:
        client.account(1, 9)
        with pytest.raises(millrace.Unheard):
            client.submit(SIGNED, timeout=0.2)


def test_a_refusal_is_an_exception_with_its_code() -> None:
    with Gateway(script(refusal(39, 422, "bad signature"))) as gateway, Client(gateway.url) as client:
        with pytest.raises(millrace.Refused) as refused:
            client.submit(SIGNED)
        assert (refused.value.code, refused.value.name, refused.value.status) == (39, "bad signature", 422)
        assert len(gateway.asked) == 1
    with Gateway(script(refusal(35, 422, "replayed"), NOT_FOUND)) as gateway, Client(gateway.url) as client:
        with pytest.raises(millrace.Refused):
            client.submit(SIGNED)


def test_nothing_heard_is_not_the_same_as_not_taken() -> None:
    with Gateway(script(PENDING)) as gateway, Client(gateway.url) as client:
        with pytest.raises(millrace.Unheard) as unheard:
            client.submit(SIGNED, timeout=0.2)
        assert (unheard.value.transaction, unheard.value.id) == (SIGNED.bytes, SIGNED.id)
    with Gateway(script(refusal(42, 503, "busy"))) as gateway, Client(gateway.url) as client:
        with pytest.raises(millrace.Refused):
            client.submit(SIGNED, timeout=0.2)
    gateway = Gateway(script(None))
    gateway.stop()
    with pytest.raises(millrace.ConnectionFailed):
        Client(gateway.url, network=NETWORK).submit(SIGNED, timeout=0.2)


def test_a_payment_to_another_chain_ends_where_it_arrives_or_comes_back() -> None:
    said = [
        ({"code": 9, "crossing": {"state": "in_flight"}}, None),
        ({"code": 9, "crossing": {"state": "credited", "height": 9}}, 0),
        ({"code": 9, "crossing": {"state": "refunded", "reason": "credit_account_frozen"}}, 14),
        ({"code": 7}, 7),
    ]
    for more, final in said:
        with Gateway(script((200, {**FOUND, **more}))) as gateway, Client(gateway.url) as client:
            assert client.transaction(SIGNED.id).final_code == final


def test_another_network_is_refused() -> None:
    with Gateway(script(COMMITTED), network="22" * 32) as gateway:
        with pytest.raises(millrace.WrongNetwork):
            Client(gateway.url, network=NETWORK).account(1, 9)


def test_tokens_travel_in_a_header_and_only_where_nobody_can_read_them() -> None:
    with Gateway(script(COMMITTED)) as gateway:
        Client(gateway.url, token="mr_0123").submit(SIGNED)
        assert gateway.asked[0].headers["Authorization"] == "Bearer mr_0123"
        assert "mr_0123" not in gateway.asked[0].path
    with pytest.raises(ValueError, match="https"):
        Client("http://pay.example", token="mr_0123")
    with pytest.raises(ValueError):
        Client("https://pay.example", token="mr_0\r\nX: y")
    for url in ("pay.example", "ftp://pay.example", "https://a:b@pay.example", "https://pay.example/?token=x"):
        with pytest.raises(ValueError):
            Client(url)


def test_what_is_no_gateway_is_said_to_be_none() -> None:
    for reply in ((200, {}), (500, {}), (404, {"error": "gone"})):
        with Gateway(script(reply)) as gateway, Client(gateway.url) as client:
            with pytest.raises(millrace.AnswerUnreadable):
                client.account(1, 9)


def event(name: str, id: str, data: Any) -> str:
    return f"id: {id}\nevent: {name}\ndata: {json.dumps(data)}\n\n"


def happening(height: int, place: int) -> str:
    return event("happening", f"{height}.{place + 1}", {"at": f"{height}.{place}", "event": "executed", "id": "ab"})


def block(height: int) -> str:
    data = {"height": height, "digest": "ab", "time_ms": 1, "transactions": 0, "failures": 0}
    return event("block", str(height), data)


def test_each_event_is_given_out_once_over_streams_that_break() -> None:
    one = ": alive\n\n" + happening(5, 0) + happening(5, 1)
    # Told twice, cut off in the middle of an event, and ended with an error that passes.
    two = happening(5, 1) + happening(6, 0) + happening(6, 0) + "id: 7.1\nevent: happening\ndata: {"
    three = happening(7, 0) + event(
        "error", "", {"code": 1003, "name": "unavailable", "message": "", "retry_after_seconds": 0}
    )
    with Gateway(script(one, None, two, three, happening(6, 0) + happening(7, 1))) as gateway:
        stream = Client(gateway.url).events(1, start=Cursor(5, 0))
        assert [str(next(stream).at) for _ in range(5)] == ["5.0", "5.1", "6.0", "7.0", "7.1"]
        assert [request.query["from"] for request in gateway.asked] == ["5.0", "5.2", "5.2", "6.1", "7.1"]


def test_a_stream_on_which_nothing_happens_is_not_given_up() -> None:
    with Gateway(script(*[": alive\n\n"] * 20, happening(5, 0))) as gateway:
        assert str(next(Client(gateway.url).events(1, start=Cursor(5, 0))).at) == "5.0"
    with Gateway(script("")) as gateway:
        with pytest.raises(millrace.ConnectionFailed):
            next(Client(gateway.url).events(1, start=Cursor(5, 0)))


def test_blocks_come_once_and_none_is_left_out() -> None:
    with Gateway(script(block(3) + block(4), block(4) + block(5))) as gateway:
        stream = Client(gateway.url).blocks(3)
        assert [next(stream).height for _ in range(3)] == [3, 4, 5]
    with Gateway(script(block(3) + block(5))) as gateway:
        stream = Client(gateway.url).blocks(3)
        next(stream)
        with pytest.raises(millrace.AnswerUnreadable, match="left out"):
            next(stream)


def test_a_stream_without_a_cursor_begins_at_one_place_however_often_it_breaks() -> None:
    with Gateway(script(None, "", block(8))) as gateway:
        assert next(Client(gateway.url).blocks()).height == 8
        assert [request.query["from"] for request in gateway.asked] == ["8", "8", "8"]


def test_what_is_pruned_everywhere_is_said() -> None:
    pruned = refusal(1002, 410, "below retention")
    with Gateway(script(pruned)) as one, Gateway(script(pruned)) as other:
        with pytest.raises(millrace.BelowRetention):
            next(Client([one.url, other.url]).blocks(1))
    with Gateway(script(pruned)) as one, Gateway(script(block(1))) as other:
        assert next(Client([one.url, other.url]).blocks(1)).height == 1


def test_a_fate_ends_when_it_is_final() -> None:
    first = {**FOUND, "code": 9, "crossing": {"state": "in_flight"}, "final": False}
    last = {**FOUND, "code": 9, "crossing": {"state": "credited"}, "final": True}
    broken, whole = event("fate", "8", first), event("fate", "8", first) + event("fate", "9", last)
    with Gateway(script(broken, whole)) as gateway:
        assert [found.final_code for found in Client(gateway.url).fate(SIGNED.id)] == [None, 0]


def account(next_nonce: int, free: list[int]) -> Reply:
    return 200, {
        "as_of": {"height": 50}, "chain": 1, "account": 9, "balance": "18446744073709551615", "key": "00" * 32,
        "key_version": 3, "status": "open", "frozen": "no", "next_nonce": next_nonce, "free_nonces": free,
    }  # fmt: skip


def committed(request: Request) -> Reply:
    return 200, {"id": millrace.transaction_id(request.body, NETWORK), "status": "committed", "code": 0}


def test_a_payer_uses_free_nonces_and_counts_on() -> None:
    def answer(request: Request) -> Reply:
        return account(7, [4, 7, 8]) if "accounts" in request.path else committed(request)

    with Gateway(answer) as gateway, Client(gateway.url) as client:
        payer = Payer(client, KEY, 1, 9, valid_for=100)
        for _ in range(3):
            payer.pay(8, 1)
        sent = [millrace.parse(request.body)[0] for request in gateway.asked if request.method == "POST"]
        assert [(one.nonce, one.expiry, one.key_version) for one in sent] == [(4, 150, 3), (7, 150, 3), (8, 150, 3)]
        assert client.account(1, 9).balance == 2**64 - 1


def test_a_nonce_that_is_not_spent_is_used_again_and_one_that_may_be_is_not() -> None:
    refused, pending = refusal(37, 422, "unknown account"), PENDING
    replies = iter([refused, COMMITTED, pending, COMMITTED, COMMITTED])

    def answer(request: Request) -> Reply:
        if "accounts" in request.path:
            return account(0, [0, 1])
        reply = next(replies)
        return committed(request) if reply is COMMITTED else reply

    with Gateway(answer) as gateway, Client(gateway.url) as client:
        payer = Payer(client, KEY, 1, 9)
        with pytest.raises(millrace.Refused):
            payer.pay(8, 1)
        payer.pay(8, 1)
        payer._patience = 0.05
        with pytest.raises(millrace.Unheard) as unheard:
            client_submit_once(client, payer)
        payer._patience = 5
        payer.pay(8, 1)
        payer.again(unheard.value)
        sent = [millrace.parse(request.body)[0].nonce for request in gateway.asked if request.method == "POST"]
        assert sent == [0, 0, 1, 2, 1]


def test_a_nonce_is_not_lost_where_the_height_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    with Gateway(script(account(0, [0]))) as gateway, Client(gateway.url) as client:
        payer = Payer(client, KEY, 1, 9)
        payer._learn()
        payer._height_at -= 3_600
        with monkeypatch.context() as patched:

            def fails() -> int:
                raise millrace.ConnectionFailed("nobody is there")

            patched.setattr(client, "height", fails)
            with pytest.raises(millrace.ConnectionFailed):
                payer._take()
        assert payer._take()[0] == 0


def client_submit_once(client: Client, payer: Payer) -> None:
    """One attempt whose time is over at once."""
    whole = client.submit
    client.submit = lambda *args, **named: whole(*args, **{**named, "timeout": 0.01})  # type: ignore[method-assign]
    try:
        payer.pay(8, 1)
    finally:
        client.submit = whole  # type: ignore[method-assign]


def test_no_more_than_a_window_of_nonces_is_under_way() -> None:
    with Gateway(script(account(0, [0]))) as gateway, Client(gateway.url) as client:
        payer = Payer(client, KEY, 1, 9, patience=0.05)
        taken = [payer._take()[0] for _ in range(64)]
        assert taken == list(range(64))
        with pytest.raises(millrace.NonceWindowFull):
            payer._take()
        payer._give_back(5, is_spent=True)
        with pytest.raises(millrace.NonceWindowFull):
            payer._take()
        payer._give_back(0, is_spent=True)
        assert payer._take()[0] == 64


def test_keys_are_read_as_the_command_writes_them_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(KEY.to_pem())
    file.chmod(0o600)
    key = Key.from_file(file)
    assert key.public == KEY.public and key.made(key.sign(b"x"), b"x") and not key.made(key.sign(b"x"), b"y")
    assert "00000000" not in repr(key)
    if os.name == "posix":
        file.chmod(0o644)
        assert stat.S_IMODE(file.stat().st_mode) == 0o644
        with pytest.raises(PermissionError):
            Key.from_file(file)
    with pytest.raises(ValueError):
        Key.from_seed(b"short")
