//! The page and its parts, which the binary carries.

use std::sync::{Arc, LazyLock};

use axum::extract::{Path, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HOST, HeaderName, IF_NONE_MATCH, SET_COOKIE,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};

use crate::guard::{cookie_name, query_token};
use crate::reply::{Problem, typed};
use crate::server::Shared;

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
    tag: String,
}

macro_rules! assets {
    ($($name:literal: $kind:expr),* $(,)?) => {
        vec![$(asset($name, $kind, include_bytes!(concat!("../ui/", $name)))),*]
    };
}

static ASSETS: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    assets! {
        "index.html": HTML,
        "style.css": STYLE,
        "icon.svg": "image/svg+xml",
        "main.js": SCRIPT,
        "link.js": SCRIPT,
        "picture.js": SCRIPT,
        "panel.js": SCRIPT,
        "prompts.js": SCRIPT,
        "source.js": SCRIPT,
        "wire.js": SCRIPT,
        "chart.js": SCRIPT,
        "keys.js": SCRIPT,
        "dom.js": SCRIPT,
    }
});

fn asset(name: &'static str, kind: &'static str, bytes: &'static [u8]) -> Asset {
    Asset { name, kind, bytes, tag: format!("\"{:016x}\"", fnv(bytes)) }
}

/// FNV-1a, 64 bits: names a version of a file, and keeps no secret.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Whether a person sees what stands at this path.
pub(crate) fn is_page(path: &str) -> bool {
    path == "/"
}

/// `GET /`. A token in the address goes into a cookie; the page takes it out of
/// the address bar. A redirect would not do: a browser that comes from another
/// site's link sends no strict cookie along with it.
pub(crate) async fn index(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let mut response = find("index.html", &headers);
    let policy = policy(headers.get(HOST).and_then(|host| host.to_str().ok()));
    let own = response.headers_mut();
    own.extend(policy.map(|policy| (CONTENT_SECURITY_POLICY, policy)));
    own.insert(
        PERMISSIONS_POLICY,
        HeaderValue::from_static("camera=(self), display-capture=(self), microphone=()"),
    );
    if shared.token.is_some() {
        let cookie = query_token(uri.query()).map(|token| {
            let name = cookie_name(shared.address.port());
            format!("{name}={token}; Path=/; HttpOnly; SameSite=Strict")
        });
        own.extend(cookie.and_then(|c| HeaderValue::try_from(c).ok()).map(|c| (SET_COOKIE, c)));
    }
    response
}

/// `GET /assets/{name}`.
pub(crate) async fn part(Path(name): Path<String>, headers: HeaderMap) -> Response {
    find(&name, &headers)
}

fn find(name: &str, headers: &HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return Problem::new(StatusCode::NOT_FOUND, format!("there is no {name}")).into_response();
    };
    let known = headers.get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let is_known = known.is_some_and(|tags| tags.split(',').any(|tag| tag.trim() == asset.tag));
    let mut response = typed(asset.kind, if is_known { &[] } else { asset.bytes });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let own = response.headers_mut();
    own.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    own.extend(HeaderValue::try_from(&asset.tag).ok().map(|tag| (ETAG, tag)));
    response
}

/// Nothing but what this server sends. Older browsers do not count a WebSocket
/// to the same host as `'self'`, so it is named.
fn policy(host: Option<&str>) -> Option<HeaderValue> {
    let is_plain =
        |host: &&str| host.bytes().all(|b| b.is_ascii_alphanumeric() || b".:-[]_".contains(&b));
    let host = host.filter(is_plain).unwrap_or_default();
    let sockets =
        if host.is_empty() { String::new() } else { format!(" ws://{host} wss://{host}") };
    HeaderValue::try_from(format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
         media-src 'self' blob:; connect-src 'self'{sockets}; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    ))
    .ok()
}

/// What a person sees who is not let in.
pub(crate) fn refused(problem: &Problem) -> Response {
    let hint = problem.hint.as_deref().unwrap_or_default();
    let text = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\">\
         <title>laterna</title><h1>laterna</h1><p>{}.</p><p>{}.</p></html>",
        escape(&problem.error),
        escape(hint),
    );
    let mut response = typed(HTML, text);
    *response.status_mut() = problem.status;
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str) -> &'static str {
        let asset = ASSETS.iter().find(|asset| asset.name == name).unwrap();
        std::str::from_utf8(asset.bytes).unwrap()
    }

    #[test]
    fn every_file_of_the_page_is_carried_and_every_carried_one_used() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/ui");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut files: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
        let mut carried: Vec<_> = ASSETS.iter().map(|asset| asset.name.to_owned()).collect();
        files.sort();
        carried.sort();
        assert_eq!(files, carried);
        let all: String = carried.iter().map(|name| text(name)).collect();
        for name in carried.iter().filter(|name| *name != "index.html") {
            assert!(
                all.contains(&format!("./{name}\"")) || all.contains(&format!("assets/{name}"))
            );
        }
    }

    #[test]
    fn the_page_holds_nothing_that_its_policy_forbids() {
        let page = text("index.html");
        assert!(
            !page.contains(" style=") && !page.contains(" onclick=") && !page.contains("<style")
        );
        assert!(!page.contains("http://") && !page.contains("https://"));
        assert_eq!(page.matches("<script").count(), 1);
        assert!(page.contains("<script type=\"module\" src=\"/assets/main.js\"></script>"));
    }

    #[test]
    fn a_strange_host_is_not_put_into_the_policy() {
        let policy = |host| policy(host).unwrap().to_str().unwrap().to_owned();
        assert!(policy(Some("127.0.0.1:7860")).contains("ws://127.0.0.1:7860 wss://"));
        assert!(!policy(Some("a; script-src *")).contains("script-src *"));
    }

    #[test]
    fn words_of_a_request_are_escaped() {
        assert_eq!(escape("<b>&"), "&lt;b&gt;&amp;");
    }
}
