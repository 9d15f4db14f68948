//! Several processes, one that is killed, and files that cannot be written.

use super::*;

// ---- processes -------------------------------------------------------------------------------------------

/// Not a test of its own: what the processes that other tests start do.
#[test]
fn child() {
    let Ok(url) = std::env::var(CHILD_URL) else { return };
    let target = std::env::var_os(CHILD_TARGET).unwrap();
    if let Err(error) = FETCHER.fetch(&source(&url), target) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

#[test]
fn a_killed_process_leaves_its_part_and_no_lock() {
    let place = Place::new();
    let server = Server::http(|exchange| match exchange.number {
        0 => {
            exchange.file_head(SIZE, None);
            exchange.send(&FILE[..HALF]);
            exchange.hang();
        }
        _ => exchange.file(&FILE),
    });
    let mut child =
        Command::from(Child::new(&server.url(), &place.target)).stdout(Stdio::null()).spawn().unwrap();
    wait_for_part(&place.partial, HALF);
    child.kill().unwrap();
    child.wait().unwrap();
    place.assert_part(&FILE[..HALF]);

    place.fetch(&server).unwrap();
    place.assert_fetched();
    assert_eq!(server.starts(), [None, Some(HALF)]);
    assert_eq!(server.sent(), SIZE);
}

#[test]
fn many_processes_fetch_once() {
    let place = Place::new();
    let server = Server::http(|exchange| {
        exchange.file_head(SIZE, None);
        exchange.send(&FILE[..HALF]);
        // Time for the others to come.
        thread::sleep(Duration::from_millis(700));
        exchange.send(&FILE[HALF..]);
    });
    let children: Vec<_> = (0..4)
        .map(|_| {
            let mut command = Command::from(Child::new(&server.url(), &place.target));
            command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    for child in children {
        assert_silent_success(&child.wait_with_output().unwrap());
    }
    place.assert_fetched();
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn the_next_process_takes_over_from_a_killed_one() {
    let place = Place::new();
    let server = Server::http(|exchange| match exchange.number {
        0 => {
            exchange.file_head(SIZE, None);
            exchange.send(&FILE[..HALF]);
            exchange.hang();
        }
        _ => exchange.file(&FILE),
    });
    let spawn = || Command::from(Child::new(&server.url(), &place.target)).stdout(Stdio::null()).spawn();
    let mut first = spawn().unwrap();
    wait_for_part(&place.partial, HALF);
    let mut second = spawn().unwrap();
    thread::sleep(Duration::from_millis(300));
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(second.wait().unwrap().success());
    place.assert_fetched();
    assert_eq!(server.starts(), [None, Some(HALF)]);
}

// ---- files that cannot be written ------------------------------------------------------------------------

#[cfg(unix)]
#[test]
fn a_read_only_directory() {
    use std::os::unix::fs::PermissionsExt;

    let server = Server::http(|exchange| exchange.file(&FILE));
    let place = Place::new();
    let set_mode = |mode| fs::set_permissions(place.folder.path(), PermissionsExt::from_mode(mode)).unwrap();
    let fetch = || {
        let probe = place.folder.path().join("probe");
        // Permissions do not bind root, who has to give up that power first.
        let starter: &[_] = if fs::write(&probe, "").is_ok() {
            fs::remove_file(&probe).unwrap();
            &["setpriv", "--bounding-set", "-dac_override"]
        } else {
            &[]
        };
        let child = Child::new(&server.url(), &place.target).started_by(starter);
        Command::from(child).output().unwrap()
    };

    set_mode(0o555);
    let message = stderr(&fetch());
    assert!(message.contains(&format!("cannot write {}", place.target.display())), "{message}");
    assert!(message.contains("ermission denied"), "{message}");
    assert!(server.requests().is_empty());

    // A file that is there already is good there too.
    set_mode(0o755);
    fs::write(&place.target, &*FILE).unwrap();
    set_mode(0o555);
    let output = fetch();
    set_mode(0o755);
    assert_silent_success(&output);
}

#[cfg(unix)]
#[test]
fn a_full_disk_keeps_what_fits() {
    let server = Server::http(|exchange| exchange.file(&FILE));
    let place = Place::new();
    // A limit for the size of files stands in for the disk.
    let limit = ["sh", "-c", "trap '' XFSZ; ulimit -f 100; exec \"$@\"", "sh"];
    let child = Child::new(&server.url(), &place.target).started_by(&limit);
    let message = stderr(&Command::from(child).output().unwrap());
    assert!(message.contains(&format!("cannot write {}", place.partial.display())), "{message}");
    assert!(!place.target.exists());
    assert_eq!(server.requests().len(), 1);

    place.fetch(&server).unwrap();
    place.assert_fetched();
    assert!(server.starts()[1].is_some());
}

#[test]
fn directories_in_the_way() {
    let server = Server::http(|exchange| exchange.file(&FILE));
    let place = Place::new();
    fs::create_dir(&place.partial).unwrap();
    let FetchError::Write { path, .. } = place.fetch_error(&server) else { panic!() };
    assert_eq!(path, place.partial);
    fs::create_dir(&place.target).unwrap();
    let Error::Read { path, .. } = place.fetch(&server).unwrap_err() else { panic!() };
    assert_eq!(path, place.target);
    assert!(server.requests().is_empty());
}
