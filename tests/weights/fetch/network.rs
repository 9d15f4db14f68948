//! Redirects, certificates and proxies.

use super::*;

// ---- redirects and certificates --------------------------------------------------------------------------

#[test]
fn redirects_to_http_are_not_followed() {
    let other = Server::http(|exchange| exchange.file(&FILE));
    let to = other.url();
    let location = format!("Location: {to}\r\n");
    let server = Server::http(move |exchange| exchange.head("302 Found", &location));
    match Place::new().fetch_error(&server) {
        FetchError::Redirect { to: given, problem } => {
            assert_eq!((given, problem), (to, "only HTTPS is followed"))
        }
        error => panic!("{error}"),
    }
    assert_eq!((server.requests().len(), other.requests().len()), (1, 0));
}

/// Fetches in a process that trusts only this authority.
fn fetch_trusting(authority: &Authority, url: &str, place: &Place) -> Output {
    let certificates = place.folder.path().join("authority.pem");
    fs::write(&certificates, authority.pem()).unwrap();
    let mut command = Command::from(Child::new(url, &place.target));
    command.env("SSL_CERT_FILE", certificates).env_remove("SSL_CERT_DIR").output().unwrap()
}

#[test]
fn redirects_to_https_are_followed_and_resumed() {
    let authority = Authority::new();
    let other = Server::https(&authority, |exchange| exchange.file(&FILE));
    let location = format!("Location: {}\r\n", other.url());
    let server = Server::http(move |exchange| exchange.head("302 Found", &location));
    let place = Place::with_partial(&FILE[..HALF]);
    assert_silent_success(&fetch_trusting(&authority, &server.url(), &place));
    place.assert_fetched();
    assert_eq!(other.starts(), [Some(HALF)]);
}

#[test]
fn redirects_from_https_to_http_are_not_followed() {
    let authority = Authority::new();
    let other = Server::http(|exchange| exchange.file(&FILE));
    let location = format!("Location: {}\r\n", other.url());
    let server = Server::https(&authority, move |exchange| exchange.head("302 Found", &location));
    let output = fetch_trusting(&authority, &server.url(), &Place::new());
    let expected = format!("redirected to {}: only HTTPS is followed (attempts: 1)", other.url());
    assert!(stderr(&output).contains(&expected), "{output:?}");
    assert!(other.requests().is_empty());
}

#[test]
fn redirects_in_a_circle_end() {
    let authority = Authority::new();
    let server = Server::https(&authority, |exchange| exchange.head("302 Found", "Location: /again\r\n"));
    let output = fetch_trusting(&authority, &server.url(), &Place::new());
    assert!(stderr(&output).contains("/again: one redirect too many, 10 are followed"), "{output:?}");
    assert_eq!(server.requests().len(), 11);
}

#[test]
fn unknown_certificates_are_final() {
    let server = Server::https(&Authority::new(), |exchange| exchange.file(&FILE));
    let output = fetch_trusting(&Authority::new(), &server.url(), &Place::new());
    let message = stderr(&output);
    assert!(message.contains("no secure connection: invalid peer certificate"), "{message}");
    assert!(message.contains("SSL_CERT_FILE"), "{message}");
    assert_eq!((server.connections(), server.requests().len()), (1, 0));
}

// ---- proxies ---------------------------------------------------------------------------------------------

#[test]
fn http_proxy() {
    let proxy = Server::http(|exchange| exchange.file(&FILE));
    let place = Place::new();
    // A name that only the proxy could find.
    let mut command = Command::from(Child::new("http://weights.invalid/file", &place.target));
    assert_silent_success(&command.env("HTTP_PROXY", proxy.origin()).output().unwrap());
    place.assert_fetched();
    assert_eq!(proxy.requests()[0].target, "http://weights.invalid/file");
}

#[test]
fn https_proxy() {
    let authority = Authority::new();
    let server = Server::https(&authority, |exchange| exchange.file(&FILE));
    let proxy = Server::http(|exchange| exchange.tunnel());
    let place = Place::new();
    let certificates = place.folder.path().join("authority.pem");
    fs::write(&certificates, authority.pem()).unwrap();
    let mut command = Command::from(Child::new(&server.url(), &place.target));
    command.env("SSL_CERT_FILE", certificates).env_remove("SSL_CERT_DIR").env("HTTPS_PROXY", proxy.origin());
    assert_silent_success(&command.output().unwrap());
    place.assert_fetched();
    assert_eq!(proxy.requests()[0].method, "CONNECT");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn no_proxy() {
    let proxy = Server::http(|exchange| exchange.status("404 Not Found"));
    let server = Server::http(|exchange| exchange.file(&FILE));
    let place = Place::new();
    let mut command = Command::from(Child::new(&server.url(), &place.target));
    command.env("HTTP_PROXY", proxy.origin()).env("NO_PROXY", "example.org,127.0.0.1");
    assert_silent_success(&command.output().unwrap());
    place.assert_fetched();
    assert!(proxy.requests().is_empty());
}
