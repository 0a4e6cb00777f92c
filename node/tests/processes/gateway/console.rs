//! The console as browsers meet it.

use engine::types::{AccountId, Height, Linked, Payment, Payments, Transaction};
use serde_json::json;

use super::door::{Answer, Door};
use crate::testbed::{CHAIN, Testbed, expect, wait};

/// What browsers are allowed.
const POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval';";
/// What a hostile client writes into a memo.
const HOSTILE: &str =
    "<script>alert(1)</script><img src=x onerror=alert(2)> \"' &amp; \u{202e}exe.txt\u{0}\u{7}\u{200b}";

/// A payment of account `debit` with a hostile memo.
fn hostile(testbed: &Testbed, debit: u64) -> Transaction {
    let payments = [Payment { to: AccountId(debit + 2), amount: 1 }.encode()];
    let linked = Linked {
        chain: CHAIN,
        key_version: 1,
        reference: *b"<b>'\"&\xe2\x80\xae\0\0\0",
        debit: AccountId(debit),
        payments: Payments::of(&payments),
        memo: HOSTILE.as_bytes(),
        nonce: 50,
        expiry: Height(1_000_000),
    };
    let key = testbed.network.client_seed().unwrap().signing_key(CHAIN, AccountId(debit));
    linked.sign(testbed.network.genesis.network(), |message| key.sign(message)).unwrap()
}

/// A page is one document without anything that the policy would refuse.
fn is_page(answer: &Answer, status: u16, path: &str) {
    assert_eq!(answer.status, status, "{path}: {}", answer.text);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.starts_with(POLICY) && policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
    assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{path}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    let text = &answer.text;
    assert!(text.starts_with("<!DOCTYPE html>") && text.ends_with("</html>"), "{path}: {text}");
    let scripts: Vec<_> = text.match_indices("<script").collect();
    assert_eq!(scripts.len(), 1, "{path}");
    assert!(text.contains("<script src=\"/console/script.js\" defer></script>"), "{path}");
    // What is between brackets is ours: a bracket of others is escaped.
    let tags: Vec<&str> = text.split('<').skip(1).filter_map(|part| part.split('>').next()).collect();
    let is_refused = |tag: &&&str| {
        [" style=", " onerror=", " onclick=", "img", "iframe"].iter().any(|of| tag.contains(of))
    };
    assert_eq!(tags.iter().find(is_refused), None, "{path}");
    let elsewhere = text.replace("http://www.w3.org/2000/svg", "");
    assert!(!elsewhere.contains("://"), "{path} names another host");
    for part in ["<html lang=\"", "<main id=\"main\"", "<h1>", "<nav ", "class=\"skip\""] {
        assert!(text.contains(part), "{path} lacks {part}");
    }
    let heads = tags.iter().filter(|tag| tag.starts_with("th ") || **tag == "th");
    assert!(heads.into_iter().all(|tag| tag.contains("scope=")), "{path}: heads without scope");
}

/// Every page, in both languages.
pub fn pages(testbed: &Testbed, door: &Door, account: u64) {
    let transaction = hostile(testbed, account);
    let call = json!({ "transaction": hex::encode(transaction.bytes()), "receipt": "full" });
    let receipt = door.post("/v1/transactions", &call).json;
    assert_eq!(receipt["outcome"], "applied", "{receipt}");
    let (id, height) = (receipt["id"].as_str().unwrap().to_owned(), receipt["height"].as_u64().unwrap());
    let key = door.get(&format!("/v1/chains/1/accounts/{account}")).json["key"].as_str().unwrap().to_owned();
    let paths = [
        "/".to_owned(),
        "/chains".to_owned(),
        "/chains/1".to_owned(),
        format!("/chains/1/accounts/{account}"),
        format!("/chains/1/accounts/{account}?from=1.0"),
        "/blocks".to_owned(),
        "/blocks?before=3".to_owned(),
        format!("/blocks/{height}"),
        "/transactions".to_owned(),
        format!("/transactions?chain=1&account={account}&reference=&from=1.0"),
        format!("/transactions/{id}"),
        "/accounts".to_owned(),
        format!("/accounts?chain=1&account={account}&key="),
        format!("/accounts?chain=1&account=&key={key}"),
        "/governance".to_owned(),
        "/node".to_owned(),
        "/alarms".to_owned(),
        "/alarms/quorum_lost".to_owned(),
        format!("/search?q={id}"),
        format!("/search?q={account}"),
        format!("/search?q=1:{account}"),
        format!("/search?q={key}"),
    ];
    for path in &paths {
        let english = door.get(path);
        is_page(&english, 200, path);
        assert!(english.text.contains("<html lang=\"en\">"), "{path}");
        let chinese = door.request("GET", path, &["Accept-Language: zh-CN,zh;q=0.9,en;q=0.8"], b"");
        is_page(&chinese, 200, path);
        assert!(chinese.text.contains("<html lang=\"zh-Hans\">") && chinese.text.contains("网络"), "{path}");
        let vary = chinese.header("vary").unwrap();
        assert!(vary.contains("accept-language") && vary.contains("cookie"), "{vary}");
    }
    for path in &paths[18..] {
        assert!(door.get(path).text.contains("class=\"hits\""), "{path} finds something");
    }
    told_of_others(door, account, &id);
    clear_failures(door);
    parts(door);
    let chosen = door.request("GET", "/language?to=zh&back=%2Fblocks%3Fbefore%3D3", &[], b"");
    assert_eq!((chosen.status, chosen.header("location")), (303, Some("/blocks?before=3")));
    assert!(chosen.header("set-cookie").unwrap().starts_with("millrace-language=zh; Path=/;"));
    let elsewhere = door.get("/language?to=en&back=%2F%2Fevil.example");
    assert_eq!(elsewhere.header("location"), Some("/"));
    let by_cookie = door.request("GET", "/", &["Cookie: a=b; millrace-language=zh"], b"");
    assert!(by_cookie.text.contains("<html lang=\"zh-Hans\">"));
}

/// What others wrote is text, and nothing of it is invisible.
fn told_of_others(door: &Door, account: u64, id: &str) {
    let one = door.get(&format!("/transactions/{id}")).text;
    assert!(one.contains("&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;"), "{one}");
    assert!(one.contains("&amp;amp; \\u{202e}exe.txt\\u{0}\\u{7}\\u{200b}"), "{one}");
    for path in [
        "/transactions?chain=1".to_owned(),
        format!("/chains/1/accounts/{account}"),
        format!("/transactions/{id}"),
    ] {
        let text = door.get(&path).text;
        let is_hidden = |letter: char| {
            (letter.is_control() && letter != '\n') || ('\u{202a}'..='\u{202e}').contains(&letter)
        };
        assert!(!text.contains(is_hidden), "{path}");
        assert!(!text.contains("<img"), "{path}");
    }
    let echoed = door.get("/search?q=%3Cscript%3Ealert(1)%3C/script%3E%E2%80%AE%22");
    is_page(&echoed, 404, "a hostile search");
    assert!(echoed.text.contains("&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}&quot;"), "{}", echoed.text);
}

/// What is not there has a page with the right status, and says why.
fn clear_failures(door: &Door) {
    let browser = "Accept: text/html,application/xhtml+xml,*/*;q=0.8";
    for (path, status) in [
        (format!("/transactions/{}", "ab".repeat(32)), 404),
        ("/transactions/xyz".to_owned(), 400),
        ("/blocks/99999999999".to_owned(), 404),
        ("/blocks/x".to_owned(), 400),
        ("/blocks?before=-1".to_owned(), 400),
        ("/blocks?befor=1".to_owned(), 400),
        ("/transactions?from=7".to_owned(), 400),
        ("/transactions?chain=1&chain=2".to_owned(), 400),
        ("/transactions?chain=77".to_owned(), 404),
        ("/chains/77".to_owned(), 404),
        ("/chains/1/accounts/99999999".to_owned(), 404),
        ("/chains/1/accounts/7?from=x".to_owned(), 400),
        ("/governance?from=00".to_owned(), 400),
        ("/alarms/quorum_lots".to_owned(), 404),
        ("/search?q=nothing+of+that+kind".to_owned(), 404),
        ("/nowhere".to_owned(), 404),
        ("/language?to=xx".to_owned(), 400),
        ("/sign-in".to_owned(), 404),
    ] {
        is_page(&door.request("GET", &path, &[browser], b""), status, &path);
    }
    // Programs are told in their own language.
    assert_eq!(door.get("/nowhere").json["error"]["name"], "not found");
    let v1 = door.request("GET", "/v1/nowhere", &[browser], b"");
    assert_eq!(v1.json["error"]["name"], "not found");
}

/// The style sheet, the script, and the stream of events.
fn parts(door: &Door) {
    for (path, content) in [
        ("/console/style.css", "text/css"),
        ("/console/script.js", "text/javascript; charset=utf-8"),
        ("/console/icon.svg", "image/svg+xml"),
    ] {
        let part = door.get(path);
        assert_eq!((part.status, part.header("content-type")), (200, Some(content)), "{path}");
        let tag = format!("If-None-Match: {}", part.header("etag").unwrap());
        assert_eq!(door.request("GET", path, &[&tag], b"").status, 304, "{path}");
    }
    assert!(door.get("/console/script.js").text.len() <= 20 << 10);
    let checker = door.get("/console/proof.wasm");
    assert_eq!((checker.status, checker.header("content-type")), (200, Some("application/wasm")));
    assert_eq!(door.get("/console/genesis").status, 200);
    let mut events = door.stream("/console/events", &[]);
    let moment = events.next_named("moment");
    assert!(moment["height"].as_str().unwrap().parse::<u64>().unwrap() > 0, "{moment}");
    assert!(moment["alarms"].is_u64() && moment["lost"] == false, "{moment}");
}

/// What a form sends.
fn form(door: &Door, path: &str, headers: &[&str], body: &str) -> Answer {
    let content = "Content-Type: application/x-www-form-urlencoded";
    let origin = format!("Origin: http://{}", door.address);
    door.request("POST", path, &[&[content, origin.as_str()], headers].concat(), body.as_bytes())
}

/// The value of a hidden field of a page.
fn hidden(page: &str, name: &str) -> String {
    let field = format!("name=\"{name}\" value=\"");
    page.split_once(&field).unwrap().1.split('"').next().unwrap().to_owned()
}

/// The cookie of an answer, as a browser sends it back; none where it is taken away.
fn cookie(answer: &Answer, name: &str) -> String {
    let set = answer.all("set-cookie").find(|set| set.contains(name)).expect("a cookie");
    format!("Cookie: {}", set.split(';').next().unwrap())
}

#[test]
fn browsers_exchange_a_token_for_a_cookie() {
    let mut testbed = Testbed::new(1, 20);
    testbed.spawn(0);
    testbed.ready();
    let file = testbed.path().join("tokens.toml").to_str().unwrap().to_owned();
    let token = |name: &str, scope: &str| {
        let (token, _) = expect(0, &["token", "new", "--file", &file, "--name", name, "--scope", scope]);
        token.trim().to_owned()
    };
    let (reader, meter) = (token("reader", "read,submit"), token("meter", "metrics"));
    let door = Door::beside(&testbed, 0, &["--anonymous", "none", "--tokens", &file]);

    let sent = door.get("/blocks?before=9");
    assert_eq!((sent.status, sent.header("location")), (303, Some("/sign-in?back=%2Fblocks%3Fbefore%3D9")));
    assert_eq!(door.get("/console/events").status, 401);
    let page = door.get("/sign-in?back=%2Fblocks%3Fbefore%3D9");
    is_page(&page, 200, "/sign-in");
    assert_eq!(page.header("cache-control"), Some("no-store"));
    let (number, of_form) = (hidden(&page.text, "csrf"), cookie(&page, "-form-"));
    assert_eq!(hidden(&page.text, "back"), "/blocks?before=9");

    let body = |token: &str| format!("csrf={number}&back=%2Fblocks%3Fbefore%3D9&token={token}");
    // Without the cookie of the form, with another number, from another page, of another kind.
    assert_eq!(form(&door, "/sign-in", &[], &body(&reader)).status, 403);
    assert_eq!(form(&door, "/sign-in", &[&of_form], &format!("csrf=00&token={reader}")).status, 403);
    let foreign = door.request("POST", "/sign-in", &["Origin: https://evil.example", &of_form], b"");
    assert_eq!(foreign.status, 403);
    assert_eq!(door.post("/sign-in", &json!({ "token": reader })).status, 415);
    let wrong = form(&door, "/sign-in", &[&of_form], &body("mr_00"));
    is_page(&wrong, 401, "a wrong token");
    assert!(wrong.text.contains("role=\"alert\""));

    let signed_in = form(&door, "/sign-in", &[&of_form], &body(&reader));
    assert_eq!((signed_in.status, signed_in.header("location")), (303, Some("/blocks?before=9")));
    let set = signed_in.all("set-cookie").find(|set| set.contains("-session-")).unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(set.contains(part), "{set} lacks {part}");
    }
    assert!(!set.contains(&reader) && !set.contains("Secure"), "{set}");
    let session = cookie(&signed_in, "-session-");
    let with = |path: &str| door.request("GET", path, &[&session], b"");
    wait("the gateway has reached its node", || with("/").status != 503);
    let home = with("/");
    is_page(&home, 200, "/");
    assert!(home.text.contains("action=\"/sign-out\"") && !home.text.contains(&reader));
    assert_eq!((with("/v1/status").status, with("/metrics").status), (200, 200));

    // The cookie alone changes nothing.
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "status" }).to_string();
    let post = |more: &[&str]| {
        let headers = [&["Content-Type: application/json", session.as_str()], more].concat();
        door.request("POST", "/rpc", &headers, call.as_bytes())
    };
    assert_eq!((post(&[]).status, post(&["X-CSRF-Token: 00"]).status), (403, 403));
    let number = hidden(&home.text, "csrf");
    assert_eq!(post(&[&format!("X-CSRF-Token: {number}")]).status, 200);

    // A token that may only read metrics opens no page.
    let page = door.get("/sign-in");
    let (of_form, number) = (cookie(&page, "-form-"), hidden(&page.text, "csrf"));
    let metered = form(&door, "/sign-in", &[&of_form], &format!("csrf={number}&token={meter}"));
    let metered = cookie(&metered, "-session-");
    is_page(&door.request("GET", "/", &[&metered], b""), 403, "without the scope");

    let csrf = hidden(&home.text, "csrf");
    assert_eq!(form(&door, "/sign-out", &[&session], "csrf=00").status, 403);
    assert_eq!(with("/").status, 200);
    let out = form(&door, "/sign-out", &[&session], &format!("csrf={csrf}"));
    assert_eq!((out.status, out.header("location")), (303, Some("/sign-in")));
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(with("/").status, 303);

    // A token that is revoked ends its sessions.
    let again = form(&door, "/sign-in", &[&of_form], &format!("csrf={number}&token={reader}"));
    let session = cookie(&again, "-session-");
    assert_eq!(door.request("GET", "/", &[&session], b"").status, 200);
    expect(0, &["token", "revoke", "--file", &file, "--name", "reader"]);
    wait("the session has ended", || door.request("GET", "/", &[&session], b"").status == 303);

    let tries =
        (0..12).map(|_| form(&door, "/sign-in", &[&of_form], &format!("csrf={number}&token=mr_11")).status);
    let tries: Vec<u16> = tries.collect();
    assert!(tries.contains(&429) && !tries.contains(&200), "{tries:?}");
}

/// Over TLS the cookie is kept from everything else, and belongs to this host alone.
#[test]
fn over_tls_the_cookie_is_secure() {
    let mut testbed = Testbed::new(1, 20);
    testbed.spawn(0);
    testbed.ready();
    let (door, token) = Door::over_tls(&testbed);
    let jar = testbed.path().join("cookies");
    let jar = jar.to_str().unwrap();
    let curl = |more: &[&str]| door.curl("/sign-in", &[&["-i", "-b", jar, "-c", jar], more].concat());
    let Some(page) = curl(&[]) else { return };
    let number = hidden(&page, "csrf");
    let answer = curl(&["-d", &format!("csrf={number}&token={token}")]).unwrap();
    let set = answer.lines().find(|line| line.contains("-session-")).unwrap_or_else(|| panic!("{answer}"));
    assert!(set.contains("__Host-millrace-session-") && set.contains("; Secure"), "{set}");
}
