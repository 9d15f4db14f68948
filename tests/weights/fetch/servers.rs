//! Servers that refuse, fail, or fall silent.

use super::*;

#[test]
fn not_found_is_final_and_says_how_to_go_on() {
    let server = Server::http(|exchange| exchange.status("404 Not Found"));
    let place = Place::new();
    let error = place.fetch(&server).unwrap_err();
    let expected = format!(
        "cannot fetch {}: the server answered with status 404, expected 200 (attempts: 1); to go on by hand, \
         download that URL elsewhere, put the file at {}, and check that it has 300000 bytes and the SHA-256 {}",
        server.url(),
        place.target.display(),
        *SHA256
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(server.requests().len(), 1);
    place.assert_nothing();
}

#[test]
fn other_client_errors_are_final() {
    for status in ["400 Bad Request", "401 Unauthorized", "403 Forbidden", "408 Request Timeout", "410 Gone"]
    {
        let server = Server::http(move |exchange| exchange.status(status));
        let place = Place::with_partial(&FILE[..HALF]);
        let FetchError::Status { status: given } = place.fetch_error(&server) else { panic!() };
        assert_eq!(given.to_string(), status[..3]);
        assert_eq!(server.requests().len(), 1);
        place.assert_part(&FILE[..HALF]);
    }
}

#[test]
fn server_errors_pass() {
    let server = Server::http(|exchange| match exchange.number {
        0 => exchange.status("500 Internal Server Error"),
        1 => exchange.status("503 Service Unavailable"),
        _ => exchange.file(&FILE),
    });
    let place = Place::new();
    place.fetch(&server).unwrap();
    place.assert_fetched();
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn server_errors_without_end() {
    let server = Server::http(|exchange| exchange.status("500 Internal Server Error"));
    assert!(matches!(Place::new().fetch_error(&server), FetchError::Status { status: 500 }));
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn too_many_requests_pass() {
    let server = Server::http(|exchange| match exchange.number {
        0 => exchange.status("429 Too Many Requests"),
        _ => exchange.file(&FILE),
    });
    let place = Place::new();
    place.fetch(&server).unwrap();
    place.assert_fetched();
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn the_pauses_grow() {
    let server = Server::http(|exchange| exchange.status("503 Service Unavailable"));
    let fetcher = Fetcher { backoff: Duration::from_millis(100), ..FETCHER };
    let start = Instant::now();
    reason(fetcher.fetch(&source(&server.url()), Place::new().target));
    // Half of 100 ms and of 200 ms, at the least; a busy machine only adds to that.
    assert!(start.elapsed() > Duration::from_millis(150));
}

#[test]
fn a_server_that_never_answers() {
    let server = Server::http(|exchange| exchange.hang());
    let place = Place::new();
    match HASTY.fetch(&source(&server.url()), &place.target).unwrap_err() {
        Error::Weights(WeightsError::Fetch { attempts: 3, reason, .. }) => {
            let FetchError::NoAnswer { reason } = *reason else { panic!("{reason}") };
            assert_eq!(reason, "nothing came for 300ms");
        }
        other => panic!("{other}"),
    }
    assert!(!place.target.exists());
}

#[test]
fn a_server_that_falls_silent() {
    let server = Server::http(|exchange| {
        let start = exchange.request.start();
        exchange.file_head(SIZE, start);
        let start = start.unwrap_or(0);
        exchange.send(&FILE[start..start + 1000]);
        exchange.hang();
    });
    let place = Place::new();
    let fetcher = Fetcher { attempts: 10, ..HASTY };
    let error = reason(fetcher.fetch(&source(&server.url()), &place.target));
    assert!(error.to_string().contains("nothing came for 300ms"), "{error}");
    // Each attempt goes on where the last one ended. It may get nothing, but hardly all ten do.
    let starts: Vec<usize> = server.starts().into_iter().map(|start| start.unwrap_or(0)).collect();
    assert!(
        starts[0] == 0 && starts.is_sorted() && starts.iter().all(|start| start % 1000 == 0),
        "{starts:?}"
    );
    assert!(starts.last().is_some_and(|last| *last > 0), "{starts:?}");
    let part = fs::read(&place.partial).unwrap();
    assert!(part.len() >= *starts.last().unwrap());
    place.assert_part(&FILE[..part.len()]);
}

#[test]
fn a_server_that_falls_silent_at_the_very_end() {
    let server = Server::http(|exchange| {
        exchange.head("200 OK", "Transfer-Encoding: chunked\r\n");
        exchange.send(&chunk(&FILE));
        exchange.hang();
    });
    let place = Place::new();
    // Long enough for all of it to come even on a machine that stalls for seconds.
    let fetcher = Fetcher { idle_timeout: Duration::from_secs(5), ..FETCHER };
    fetcher.fetch(&source(&server.url()), &place.target).unwrap();
    place.assert_fetched();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_reset_costs_nothing_that_has_come() {
    let place = Place::new();
    let partial = place.partial.clone();
    let server = Server::http(move |exchange| match exchange.number {
        0 => {
            exchange.file_head(SIZE, None);
            exchange.send(&FILE[..HALF]);
            wait_for_part(&partial, HALF);
            exchange.reset();
        }
        _ => exchange.file(&FILE),
    });
    place.fetch(&server).unwrap();
    place.assert_fetched();
    assert_eq!(server.starts(), [None, Some(HALF)]);
    assert_eq!(server.sent(), SIZE);
}

#[test]
fn nobody_listens() {
    // Bound, so that nobody else gets the port, but not listening.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    match Command::from(Child::new(&format!("http://{address}/"), &Place::new().target)).output().unwrap() {
        output if output.status.success() => panic!(),
        output => {
            let message = stderr(&output);
            assert!(message.contains("no answer: "), "{message}");
            assert!(message.contains("onnection refused"), "{message}");
            assert!(message.contains("(attempts: 3)"), "{message}");
            // And on the way there, in lines of their own, though nobody is at a terminal.
            let retries: Vec<&str> =
                message.lines().filter(|line| line.starts_with("tch-losses: ")).collect();
            assert_eq!(retries.len(), 2, "{message}");
            assert!(
                retries[0].contains("onnection refused") && retries[0].contains("; attempt 2 of 3 in 0.0 s")
            );
        }
    }
}

/// Within two seconds of silence, not only when the attempt is given up: here, that would be after a minute.
#[test]
fn silence_is_remarked_on() {
    let server = Server::http(|exchange| exchange.hang());
    let mut command = Command::from(Child::new(&server.url(), &Place::new().target));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let expected =
        format!("tch-losses: no answer yet from {}; will try again, 3 attempts in all\n", server.url());
    assert_eq!(line, expected);
}
