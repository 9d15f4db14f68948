//! Files of which not all is known: the first digits of the hash, no size.

use super::*;

fn fetch(place: &Place, server: &Server) -> tch_losses::Result<()> {
    let url = server.url();
    FETCHER.fetch(&Source { url: &url, sha256: &SHA256[..8], size: None }, &place.target)
}

#[test]
fn the_digits_that_are_known_are_checked() {
    let server = Server::http(|exchange| exchange.file(&FILE));
    let place = Place::new();
    fetch(&place, &server).unwrap();
    place.assert_fetched();
    // It is there.
    fetch(&place, &server).unwrap();
    assert_eq!(server.starts(), [None]);

    let server = Server::http(|exchange| exchange.file(&[7; HALF]));
    let place = Place::new();
    let FetchError::Hash { given, expected } = reason(fetch(&place, &server)) else { panic!() };
    assert_eq!((given, &*expected), (format!("{:x}", Sha256::digest([7; HALF])), &SHA256[..8]));
    place.assert_nothing();
}

#[test]
fn the_server_tells_how_much_is_missing() {
    let server = Server::http(|exchange| {
        let start = exchange.request.start();
        exchange.file_head(SIZE, start);
        let start = start.unwrap_or(0);
        exchange.send(&FILE[start..start + 1000]);
    });
    let place = Place::new();
    let error = reason(fetch(&place, &server));
    assert!(matches!(error, FetchError::Interrupted { given: 3000, expected: Some(300_000), .. }), "{error}");
    place.assert_part(&FILE[..3000]);
    let server = Server::http(|exchange| exchange.file(&FILE));
    fetch(&place, &server).unwrap();
    place.assert_fetched();
    assert_eq!(server.starts(), [Some(3000)]);
}

#[test]
fn a_part_that_is_whole_needs_no_server() {
    let server = Server::http(|exchange| exchange.status("404 Not Found"));
    let place = Place::with_partial(&FILE);
    fetch(&place, &server).unwrap();
    place.assert_fetched();
    assert!(server.requests().is_empty());
}

#[test]
fn a_part_that_is_too_long_is_fetched_anew() {
    let server = Server::http(|exchange| match exchange.request.start() {
        Some(_) => exchange.status("416 Range Not Satisfiable"),
        None => exchange.file(&FILE),
    });
    let place = Place::with_partial(&[&**FILE, b"more"].concat());
    fetch(&place, &server).unwrap();
    place.assert_fetched();
    assert_eq!(server.starts(), [Some(SIZE + 4), None]);
}

#[test]
fn a_server_that_does_not_know_the_size_either() {
    let server = Server::http(|exchange| {
        exchange.head("200 OK", "Transfer-Encoding: chunked\r\n");
        exchange.send(&chunk(&FILE));
        exchange.send(b"0\r\n\r\n");
    });
    let place = Place::new();
    fetch(&place, &server).unwrap();
    place.assert_fetched();
    let server = Server::http(|exchange| {
        exchange.head("200 OK", "Transfer-Encoding: chunked\r\n");
        exchange.send(&chunk(&FILE[..HALF]));
    });
    let error = reason(fetch(&Place::new(), &server));
    assert!(matches!(error, FetchError::Interrupted { expected: None, .. }), "{error}");
    assert!(error.to_string().starts_with("only 150000 bytes came: "), "{error}");
}
