//! Trees of index pages whose folders are sick.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use towline_engine::provider::{Entry, IndexPages, Provider};
use towline_engine::{Result, Session};

use crate::common::{LONG, Live, Place, with_watchdog};

/// Serves what `answer` says to each path, each request on a thread of its own. Returns the address and the count of
/// requests.
fn serve(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (addr, count) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let (counter, answer) = (Arc::clone(&count), Arc::new(answer));
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (counter, answer) = (Arc::clone(&counter), Arc::clone(&answer));
            thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let path = lines.next().unwrap_or_default().split(' ').nth(1).unwrap_or_default().to_owned();
                lines.take_while(|line| !line.is_empty()).for_each(drop);
                counter.fetch_add(1, Ordering::SeqCst);
                let _ = write!(stream, "HTTP/1.1 {}", answer(&path));
            });
        }
    });
    (addr, count)
}

/// An index page with these links.
fn page(links: impl IntoIterator<Item = String>) -> String {
    let links: String = links.into_iter().map(|link| format!("<a href=\"{link}\">{link}</a>\n")).collect();
    let body = format!("<html><head><title>Index of /</title></head><body><pre>{links}</pre></body></html>");
    let fields = format!("Content-Type: text/html\r\nContent-Length: {}\r\nConnection: close", body.len());
    format!("200 OK\r\n{fields}\r\n\r\n{body}")
}

fn refusal(status: &str, fields: &str) -> String {
    format!("{status}\r\n{fields}Content-Length: 0\r\nConnection: close\r\n\r\n")
}

/// The entries of the tree below `/top/`.
fn list(addr: SocketAddr) -> Vec<Result<Entry>> {
    let place = Place::new();
    let live = Live::start(Session::builder(place.options()));
    let (pages, web) = (IndexPages::new(None), live.handle.web());
    let entries = pages.list(&format!("http://{addr}/top/").parse().unwrap(), &web).unwrap().collect();
    live.handle.close();
    live.end();
    entries
}

#[test]
fn a_folder_that_does_not_answer_holds_up_no_other() {
    const FOLDERS: usize = 30;
    with_watchdog(LONG, || {
        let served = Arc::new((Mutex::new(0), Condvar::new()));
        let (addr, _) = serve(move |path| {
            let (served, changed) = &*served;
            match path {
                "/top/" => page((0..FOLDERS).map(|number| format!("{number}/")).chain(["sick/".to_owned()])),
                "/top/sick/" => {
                    // It is asked for first, and answers when all others have been.
                    let served = changed.wait_while(served.lock().unwrap(), |served| *served < FOLDERS);
                    drop(served);
                    refusal("404 Not Found", "")
                }
                _ => {
                    *served.lock().unwrap() += 1;
                    changed.notify_all();
                    page(["file.bin".to_owned()])
                }
            }
        });
        let entries = list(addr);
        assert_eq!(entries.iter().filter(|entry| entry.is_ok()).count(), FOLDERS);
        assert_eq!(entries.iter().filter(|entry| entry.is_err()).count(), 1);
    });
}

#[test]
fn folders_that_are_redirected_are_not_followed() {
    const FOLDERS: usize = 100;
    with_watchdog(LONG, || {
        let (addr, count) = serve(|path| match path {
            "/top/" => page((0..FOLDERS).map(|number| format!("{number}/"))),
            _ => refusal("302 Found", &format!("Location: {path}x/\r\n")),
        });
        let entries = list(addr);
        let error = entries.iter().find_map(|entry| entry.as_ref().err()).unwrap();
        assert!(error.message().contains("/x/, which is not followed"), "{}", error.message());
        assert_eq!((entries.len(), count.load(Ordering::SeqCst)), (FOLDERS, FOLDERS + 1));
    });
}
