//! Parts of a file that came before, and ranges.

use super::*;

#[test]
fn a_short_body_is_completed() {
    let server = Server::http(|exchange| match exchange.number {
        0 => {
            exchange.file_head(SIZE, None);
            exchange.send(&FILE[..HALF]);
        }
        _ => exchange.file(&FILE),
    });
    let place = Place::new();
    place.fetch(&server).unwrap();
    place.assert_fetched();
    assert_eq!(server.starts(), [None, Some(HALF)]);
    assert_eq!(server.sent(), SIZE);
}

#[test]
fn a_short_body_of_unknown_length_is_completed() {
    let server = Server::http(|exchange| match exchange.number {
        0 => {
            exchange.head("200 OK", "");
            exchange.send(&FILE[..HALF]);
        }
        _ => exchange.file(&FILE),
    });
    let place = Place::new();
    place.fetch(&server).unwrap();
    place.assert_fetched();
    assert_eq!(server.starts(), [None, Some(HALF)]);
}

#[test]
fn bodies_that_are_always_short_are_kept_in_part() {
    let server = Server::http(|exchange| {
        let start = exchange.request.start();
        exchange.file_head(SIZE, start);
        let start = start.unwrap_or(0);
        exchange.send(&FILE[start..start + 1000]);
    });
    let place = Place::new();
    match place.fetch(&server).unwrap_err() {
        Error::Weights(WeightsError::Fetch { attempts: 3, reason, .. }) => {
            let FetchError::Interrupted { given: 3000, expected: Some(300_000), .. } = *reason else {
                panic!("{reason}")
            };
        }
        other => panic!("{other}"),
    }
    place.assert_part(&FILE[..3000]);
    assert_eq!(server.starts(), [None, Some(1000), Some(2000)]);
}

#[test]
fn a_server_that_knows_no_ranges() {
    let server = Server::http(|exchange| {
        exchange.file_head(SIZE, None);
        exchange.send(&FILE);
    });
    let place = Place::with_partial(&FILE[..HALF]);
    place.fetch(&server).unwrap();
    place.assert_fetched();
    assert_eq!(server.starts(), [Some(HALF)]);
}

#[test]
fn a_range_refused() {
    let server = Server::http(|exchange| match exchange.request.start() {
        Some(_) => exchange.status("416 Range Not Satisfiable"),
        None => exchange.file(&FILE),
    });
    let place = Place::with_partial(&FILE[..HALF]);
    place.fetch(&server).unwrap();
    place.assert_fetched();
    assert_eq!(server.starts(), [Some(HALF), None]);
}

#[test]
fn another_range_than_asked_for() {
    let server = Server::http(|exchange| match exchange.request.start() {
        Some(start) => {
            exchange.file_head(SIZE, Some(start - 1));
            exchange.send(&FILE[start - 1..]);
        }
        None => exchange.file(&FILE),
    });
    let place = Place::with_partial(&FILE[..HALF]);
    place.fetch(&server).unwrap();
    place.assert_fetched();
    assert_eq!(server.starts(), [Some(HALF), None]);
}

#[test]
fn a_range_nobody_asked_for() {
    let server = Server::http(|exchange| exchange.file_head(SIZE, Some(0)));
    assert!(matches!(Place::new().fetch_error(&server), FetchError::Status { status: 206 }));
}

#[test]
fn a_range_of_a_file_of_another_size() {
    let server = Server::http(|exchange| exchange.file(&[7; SIZE + 1]));
    let place = Place::with_partial(&FILE[..HALF]);
    assert!(matches!(place.fetch_error(&server), FetchError::Size { given: 300_001, .. }));
    assert!(!place.target.exists());
}

#[test]
fn a_corrupted_part_is_fetched_anew() {
    let server = Server::http(|exchange| exchange.file(&FILE));
    let mut part = FILE[..HALF].to_vec();
    part[1000] ^= 1;
    let place = Place::with_partial(&part);
    place.fetch(&server).unwrap();
    place.assert_fetched();
    assert_eq!(server.starts(), [Some(HALF), None]);
}

#[test]
fn a_corrupted_part_and_a_wrong_file() {
    let server = Server::http(|exchange| exchange.file(&[7; SIZE]));
    let place = Place::with_partial(&FILE[..HALF]);
    assert!(matches!(place.fetch_error(&server), FetchError::Hash { .. }));
    place.assert_nothing();
    assert_eq!(server.starts(), [Some(HALF), None]);
}

#[test]
fn parts_of_wrong_files_on_a_bad_line_are_fetched_anew_once() {
    let server = Server::http(|exchange| {
        let start = exchange.request.start();
        exchange.file_head(SIZE, start);
        // Half of what is left, at first.
        let start = start.unwrap_or(0);
        let end = if start < HALF { HALF } else { SIZE };
        exchange.send(&vec![7; end - start]);
    });
    let place = Place::new();
    let fetcher = Fetcher { attempts: 20, ..FETCHER };
    let error = reason(fetcher.fetch(&source(&server.url()), &place.target));
    assert!(matches!(error, FetchError::Hash { .. }));
    place.assert_nothing();
    assert_eq!(server.starts(), [None, Some(HALF), None, Some(HALF)]);
}

#[test]
fn a_part_that_is_whole_needs_no_server() {
    let server = Server::http(|exchange| exchange.status("404 Not Found"));
    let place = Place::with_partial(&FILE);
    place.fetch(&server).unwrap();
    place.assert_fetched();
    assert!(server.requests().is_empty());
}

#[test]
fn a_part_of_full_size_that_is_wrong_is_fetched_anew() {
    let server = Server::http(|exchange| exchange.file(&FILE));
    let place = Place::with_partial(&[7; SIZE]);
    place.fetch(&server).unwrap();
    place.assert_fetched();
    assert_eq!(server.starts(), [None]);
}

#[test]
fn a_part_longer_than_the_file_is_fetched_anew() {
    let server = Server::http(|exchange| exchange.file(&FILE));
    let place = Place::with_partial(&[&**FILE, b"more"].concat());
    place.fetch(&server).unwrap();
    place.assert_fetched();
    assert_eq!(server.starts(), [None]);
}
