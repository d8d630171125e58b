//! Who is let in. A page of another site must not reach a server on this
//! machine (by a name that points here, or by a request from afar), and where
//! other machines can reach it a token is asked for.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, COOKIE, HOST, HeaderName, ORIGIN, REFERRER_POLICY, UPGRADE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::page;
use crate::reply::Problem;
use crate::server::Shared;

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What every request passes and every answer carries.
pub(crate) async fn check(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match look(&shared, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) if page::is_page(request.uri().path()) => page::refused(&problem),
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (RESOURCE_POLICY, "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn look(shared: &Shared, request: &Request) -> Result<(), Problem> {
    let headers = request.headers();
    let host = host(headers)
        .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "the request names no host"))?;
    if shared.address.ip().is_loopback() {
        check_host(&host, &shared.hosts)?;
    }
    check_site(request, &host)?;
    match &shared.token {
        Some(token) if request.uri().path() != "/healthz" => {
            check_token(request, token, shared.address.port())
        }
        _ => Ok(()),
    }
}

fn host(headers: &HeaderMap) -> Option<Authority> {
    let authority: Authority = headers.get(HOST)?.to_str().ok()?.parse().ok()?;
    // A user name before the host is no part of a Host header.
    (!authority.as_str().contains('@')).then_some(authority)
}

/// Another site may let its own name point to this machine; its pages would
/// then be of one origin with ours.
fn check_host(host: &Authority, allowed: &[String]) -> Result<(), Problem> {
    let name = host.host().trim_matches(['[', ']']).to_ascii_lowercase();
    let is_here = name == "localhost" || name.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    if is_here || allowed.contains(&name) {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, format!("this server does not answer to {name}"))
        .hint("open it as http://127.0.0.1 or http://localhost, or allow the name"))
}

/// Browsers say which site a request comes from wherever it could do harm;
/// programs say nothing.
fn check_site(request: &Request, host: &Authority) -> Result<(), Problem> {
    let headers = request.headers();
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_safe =
        matches!(*request.method(), Method::GET | Method::HEAD) && !headers.contains_key(UPGRADE);
    let is_foreign = match headers.get(ORIGIN) {
        Some(origin) if !is_safe => !is_origin(origin, host),
        _ => {
            text("sec-fetch-site") == Some("cross-site")
                && text("sec-fetch-mode") != Some("navigate")
        }
    };
    if !is_foreign {
        return Ok(());
    }
    Err(Problem::new(StatusCode::FORBIDDEN, "this request comes from another site")
        .hint("use laterna's own page, or a program that sends no Origin"))
}

fn is_origin(origin: &HeaderValue, host: &Authority) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_str()))
}

fn check_token(request: &Request, token: &str, port: u16) -> Result<(), Problem> {
    let headers = request.headers();
    let is_right = |given: &str| is_same(given.as_bytes(), token.as_bytes());
    if bearer(headers).is_some_and(is_right)
        || cookies(headers, port).any(is_right)
        || query_token(request.uri().query()).is_some_and(is_right)
    {
        return Ok(());
    }
    Err(Problem::new(StatusCode::UNAUTHORIZED, "this server asks for a token")
        .hint("open the whole address that laterna printed, or send Authorization: Bearer TOKEN"))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn cookies(headers: &HeaderMap, port: u16) -> impl Iterator<Item = &str> {
    let name = cookie_name(port);
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    pairs.flat_map(|pairs| pairs.split(';')).filter_map(move |pair| {
        pair.trim().split_once('=').filter(|(key, _)| *key == name).map(|(_, value)| value)
    })
}

/// The token in an address, where letters need no decoding.
pub(crate) fn query_token(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|pair| pair.strip_prefix("token="))
}

/// Cookies do not tell the ports of a machine apart, so the name does.
pub(crate) fn cookie_name(port: u16) -> String {
    format!("laterna_{port}")
}

/// Takes as long wherever the two differ.
fn is_same(given: &[u8], expected: &[u8]) -> bool {
    let differences = given.iter().zip(expected).fold(0, |all, (a, b)| black_box(all | (a ^ b)));
    given.len() == expected.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(text: &str) -> Authority {
        text.parse().unwrap()
    }

    #[test]
    fn only_names_of_this_machine_are_answered_to() {
        let allowed = ["studio.example".to_owned()];
        for name in ["localhost", "LOCALHOST:7860", "127.0.0.1:1", "[::1]:7860", "127.3.2.1"] {
            assert_eq!(check_host(&authority(name), &allowed), Ok(()), "{name}");
        }
        assert!(check_host(&authority("Studio.example:80"), &allowed).is_ok());
        for name in ["evil.example", "127.0.0.1.evil.example:7860", "10.0.0.1", "localhost.evil"] {
            assert!(check_host(&authority(name), &allowed).is_err(), "{name}");
        }
    }

    #[test]
    fn an_origin_is_the_host_with_its_port() {
        let host = authority("127.0.0.1:7860");
        let is = |origin| is_origin(&HeaderValue::from_static(origin), &host);
        assert!(is("http://127.0.0.1:7860") && is("https://127.0.0.1:7860"));
        assert!(!is("http://127.0.0.1") && !is("null") && !is("http://evil.example"));
        assert!(!is("127.0.0.1:7860") && !is("http://127.0.0.1:7860.evil.example"));
    }

    #[test]
    fn tokens_are_found_wherever_they_may_be() {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("bearer abc"));
        headers.insert(COOKIE, HeaderValue::from_static("laterna_2=no; laterna_1=yes; x"));
        assert_eq!(bearer(&headers), Some("abc"));
        assert_eq!(cookies(&headers, 1).collect::<Vec<_>>(), ["yes"]);
        assert_eq!(query_token(Some("a=b&token=xyz")), Some("xyz"));
        assert_eq!(query_token(Some("tokens=xyz")), None);
    }

    #[test]
    fn only_the_same_bytes_are_the_same() {
        assert!(is_same(b"abc", b"abc") && is_same(b"", b""));
        assert!(!is_same(b"abd", b"abc") && !is_same(b"ab", b"abc") && !is_same(b"abcd", b"abc"));
    }
}
