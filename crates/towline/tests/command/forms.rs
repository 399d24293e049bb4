//! `--data` and `--method`: files behind a form. The scripted origin answers GET, so a small server of this file answers
//! here.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::common::Place;

/// Method, path, `Content-Type` and body of a request.
type Asked = (String, String, String, String);

/// A server of forms. What it sends is named by what it was asked for.
pub(crate) struct Forms {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Forms {
    /// `/elsewhere` redirects to this place.
    pub(crate) fn start(elsewhere: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (addr, asked) = (listener.local_addr().unwrap(), Arc::new(Mutex::default()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, elsewhere) = (Arc::clone(&log), elsewhere.clone());
                thread::spawn(move || answer(&stream, &log, &elsewhere));
            }
        });
        Self { addr, asked }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn answer(stream: &TcpStream, log: &Mutex<Vec<Asked>>, elsewhere: &str) {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length, mut kind, mut who) = (String::new(), 0, String::new(), String::new());
    if reader.read_line(&mut head).unwrap_or(0) == 0 {
        return;
    }
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
            break;
        }
        let (name, value) = line.trim().split_once(": ").unwrap();
        match &*name.to_ascii_lowercase() {
            "content-length" => length = value.parse().unwrap(),
            "content-type" => value.clone_into(&mut kind),
            "authorization" | "x-key" => value.clone_into(&mut who),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body = String::from_utf8(body).unwrap();
    let mut words = head.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let redirect = |status: &str, place: &str| {
        format!("HTTP/1.1 {status}\r\nLocation: {place}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    };
    let text = match &*path {
        "/see-other" => redirect("303 See Other", "/file"),
        "/moved" => redirect("302 Found", "/file"),
        "/again" => redirect("307 Temporary Redirect", "/file"),
        "/elsewhere" => redirect("308 Permanent Redirect", elsewhere),
        _ => {
            let content = format!("{method} {path} {body:<40}{who}");
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len());
            head + &content
        }
    };
    log.lock().unwrap().push((method, path, kind, body));
    let mut stream = stream;
    let _ = stream.write_all(text.as_bytes());
}

#[test]
fn a_file_behind_a_form_is_fetched() {
    let forms = Forms::start(String::new());
    let place = Place::new();
    place.write("fields", "b=2\n");
    let url = forms.url("/file");
    place.towline(&["-d", "out", "-o", "f", "--data", "a=1", "--data", "@fields", &url]).run().code(0);
    assert_eq!(fs::read_to_string(place.out("f")).unwrap().trim_end(), "POST /file a=1&b=2");
    let [(method, _, kind, body)] = &forms.take()[..] else { panic!("one request") };
    let sent = [&**method, kind, body];
    assert_eq!(sent, ["POST", "application/x-www-form-urlencoded", "a=1&b=2"]);

    let json = ["-d", "out", "-o", "g", "--method", "PUT", "--data", "{}", "-H", "Content-Type: application/json"];
    place.towline(&[&json[..], &[&url]].concat()).run().code(0);
    let [(method, _, kind, body)] = &forms.take()[..] else { panic!("one request") };
    assert_eq!([&**method, kind, body], ["PUT", "application/json", "{}"]);
}

#[test]
fn other_data_at_the_same_url_is_another_file() {
    let forms = Forms::start(String::new());
    let place = Place::new();
    let run = |data: &str| place.towline(&["-d", "out", "-o", "f", "--data", data, &forms.url("/file")]).run();
    run("id=1").code(0);
    run("id=1").code(0).says(&["already there"]);
    // The same length, and no version: only the content can tell.
    run("id=2").code(1).says(&["another file has this name"]);
    assert_eq!(fs::read_to_string(place.out("f")).unwrap().trim_end(), "POST /file id=1");
}

#[test]
fn redirects_carry_the_data_only_where_they_say_so_and_to_no_other_host() {
    let other = Forms::start(String::new());
    let forms = Forms::start(other.url("/file"));
    let place = Place::new();
    let run = |path: &str, name: &str| {
        place.towline(&["-d", "out", "-o", name, "-vv", "--data", "pass=SECRET", &forms.url(path)]).run()
    };
    run("/see-other", "a").code(0).hides("SECRET");
    assert_eq!(fs::read_to_string(place.out("a")).unwrap().trim_end(), "GET /file");
    let put = ["-d", "out", "-o", "p", "--method", "PUT", "--data", "pass=SECRET", &forms.url("/moved")];
    place.towline(&put).run().code(0).hides("SECRET");
    assert_eq!(fs::read_to_string(place.out("p")).unwrap().trim_end(), "PUT /file pass=SECRET");
    run("/moved", "m").code(0);
    assert_eq!(fs::read_to_string(place.out("m")).unwrap().trim_end(), "GET /file");
    run("/again", "b").code(0).hides("SECRET");
    assert_eq!(fs::read_to_string(place.out("b")).unwrap().trim_end(), "POST /file pass=SECRET");
    run("/elsewhere", "c").code(1).hides("SECRET").says(&["redirects the data of the request to another host"]);
    assert!(other.take().is_empty() && !place.out("c").exists());
}

#[test]
fn what_cannot_be_sent_is_said() {
    let place = Place::new();
    place.write("list", "http://127.0.0.1:9/a\n");
    let run = |args: &[&str]| place.towline(args).run();
    run(&["--method", "HEAD", "http://127.0.0.1:9/a"]).code(2).says(&["allowed: GET, POST, PUT, PATCH"]);
    run(&["--data", "@missing", "http://127.0.0.1:9/a"]).code(2).says(&["--data @missing"]);
    run(&["--data", "a=1", "-i", "list"]).code(2).says(&["for the URLs of the command line"]);
}
