//! What lists of each format say, and what is wrong with them.

use std::io::{Cursor, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;

/// What a list of this format says, each as one line.
fn said_of(format: ListFormat, list: &[u8], is_strict: bool) -> Vec<String> {
    let mut all = Vec::new();
    let mut send = |said| {
        all.push(match said {
            Said::Entry(spec) => serde_json::to_string(&spec).unwrap(),
            Said::Bad { line, error } => {
                assert_eq!(error.kind(), ErrorKind::ListLine);
                assert!(error.message().starts_with(&format!("line {line}: ")), "{}", error.message());
                error.message().to_owned()
            }
            Said::Warning(text) => format!("warning: {text}"),
        });
        true
    };
    let mut sink = Sink::new(Path::new("/saved"), is_strict, &mut send);
    if let Err(error) = read(format, Cursor::new(list), &mut sink) {
        all.push(format!("failed: {error}"));
    }
    all
}

fn said(format: ListFormat, list: &str) -> Vec<String> {
    said_of(format, list.as_bytes(), false)
}

#[test]
fn formats_are_recognised_by_what_a_list_begins_with() {
    let cases = [
        ("", ListFormat::Plain),
        ("# a list\nhttp://h/a\n", ListFormat::Plain),
        ("http://h/a\t# the first\nhttp://h/b\n", ListFormat::Plain),
        ("  http://h/a?x=1\n", ListFormat::Plain),
        ("<http://h/a>\n", ListFormat::Plain),
        ("http://h/x?fields=id,url,name\n", ListFormat::Plain),
        ("http://h/a\n  out=b\n", ListFormat::Aria2),
        ("# x\nhttp://h/a\thttp://m/a\n", ListFormat::Aria2),
        ("{\"url\":\"http://h/a\"}\n", ListFormat::JsonLines),
        ("\u{feff}\n# x\n{\"url\":\"http://h/a\"}\n", ListFormat::JsonLines),
        ("output,URL\r\na,http://h/a\r\n", ListFormat::Csv),
        ("\"url\"\nhttp://h/a\n", ListFormat::Csv),
        ("<?xml version=\"1.0\"?>\n<metalink xmlns=\"urn:ietf:params:xml:ns:metalink\">", ListFormat::Metalink),
        ("<metalink version=\"3.0\">", ListFormat::Metalink),
    ];
    for (list, format) in cases {
        assert_eq!(ListFormat::of(list.as_bytes()), format, "{list:?}");
    }
}

#[test]
fn an_input_file_of_aria2_has_mirrors_and_options() {
    let list = "# comment\nhttp://h/a\tftp://f/a\thttps://m/a\n out=dir/b\n\tchecksum=md5=d41d8cd98f00b204e9800998ecf8427e\n \
                header=X-Key: SECRET\n  header=X-Other: 1\n user-agent=me\n referer=*\n split=5\n \
                max-connection-per-server=2\n max-tries=3\n max-download-limit=1K\n dir=/saved/sub\n continue=true\n\n\
                http://h/c\n http-user=u\n http-passwd=p\n all-proxy=proxy:8080\n\nhttp://h/d\n pause=true\n";
    let said = said(ListFormat::Aria2, list);
    let first = concat!(
        r#"{"url":"http://h/a","mirrors":["https://m/a"],"output":"dir/b","#,
        r#""checksum":"md5=d41d8cd98f00b204e9800998ecf8427e","options":{"dir":"sub","headers":[["x-key","SECRET"],"#,
        r#"["x-other","1"],["user-agent","me"],["referer","http://h/a"]],"connections":4,"limit_rate_bps":1024,"retries":2}}"#
    );
    assert_eq!(said[0], first);
    assert!(
        said[1].contains(r#"[["authorization","Basic dTpw"]]"#) && said[1].contains("http://proxy:8080"),
        "{}",
        said[1]
    );
    assert_eq!(said[2], "warning: line 21: it has pause=true, and is left out");
    assert_eq!(said.len(), 3);
}

#[test]
fn what_is_wrong_with_an_input_file_of_aria2_is_said_with_its_line() {
    let cases = [
        (" out=a\nhttp://h/a\n", "line 1: an option above the first URL"),
        ("http://h/a\n checksum=crc32=00\n", "line 2: checksum: \"crc32\" is no algorithm"),
        ("http://h/a\n split=0\n", "line 2: split: a number from 1 on is expected"),
        ("http://h/a\n dir=../up\n", "line 2: dir: ../up leaves the directory"),
        ("http://h/a\n dir=/elsewhere\n", "line 2: dir: /elsewhere is not below the directory"),
        ("http://h/a\n header=SECRET\n", "line 2: header: a header is written NAME: VALUE"),
        ("http://h/a\n header=Range: bytes=0-\n", "line 2: header: Towline sets the header range itself"),
        ("http://h/a\n SECRET\n", "line 2: an option is written NAME=VALUE"),
        ("magnet:?xt=urn:btih:00\n", "line 1: only http and https can be fetched, not magnet"),
    ];
    for (list, text) in cases {
        let said = said(ListFormat::Aria2, list);
        assert!(said[0].starts_with(text), "{said:?}");
        assert!(!said.concat().contains("SECRET"), "{said:?}");
    }
}

#[test]
fn an_unknown_option_is_named_once_and_is_an_error_only_if_it_is_to_be() {
    let list = "http://h/a\n bt-seed=1\nhttp://h/b\n bt-seed=1\n";
    let lenient = said(ListFormat::Aria2, list);
    assert_eq!(lenient[0], "warning: line 2: the option bt-seed is not known, and is ignored");
    assert_eq!(lenient.len(), 3);
    let strict = said_of(ListFormat::Aria2, list.as_bytes(), true);
    assert_eq!(
        strict,
        ["line 2: bt-seed: the option bt-seed is not known", "line 4: bt-seed: the option bt-seed is not known"]
    );
}

#[test]
fn json_lines_have_objects_or_urls() {
    let list = concat!(
        "{\"url\":\"http://h/a\",\"output\":\"x/y\",\"size\":5,\"mirrors\":[\"http://m/a\"],\"headers\":{\"A\":\"1\"}}\n",
        "\n# comment\n\"http://h/b\"\n{\"url\":\"http://h/c\",\"headers\":[\"B: 2\"],\"size\":\"7\",\"checksum\":null}\n",
        "{\"url\":5}\n{\"output\":\"a\"}\n[1]\n{\"url\":\"http://h/\",\n{\"url\":\"http://h/d\",\"colour\":\"red\"}\n",
        "{\"url\":\"http://h/e\",\"checksum\":\"md5=1\",\"checksum\":\"md5=2\"}\n",
    );
    assert_eq!(
        said(ListFormat::JsonLines, list),
        [
            concat!(
                r#"{"url":"http://h/a","mirrors":["http://m/a"],"output":"x/y","size_bytes":5,"#,
                r#""options":{"headers":[["a","1"]]}}"#
            ),
            r#"{"url":"http://h/b"}"#,
            r#"{"url":"http://h/c","size_bytes":7,"options":{"headers":[["b","2"]]}}"#,
            "line 6: the field url is not a string",
            "line 7: it has no field \"url\"",
            "line 8: not an object",
            "line 9: not JSON (column 19)",
            "warning: line 10: the field colour is not known, and is ignored",
            r#"{"url":"http://h/d"}"#,
            "line 11: it has the field checksum twice",
        ]
    );
}

#[test]
fn comma_separated_values_may_be_quoted() {
    let list = "output,url,mirrors,size,headers,note\r\n\"a, b\",http://h/a,http://m/a http://n/a,5,\"A: 1\nB: 2\",x\r\n\
                ,http://h/b\r\n\r\nc,,,,,\r\n,nowhere,,,,\r\n,http://h/d,,,,,too many\r\n";
    assert_eq!(
        said(ListFormat::Csv, list),
        [
            "warning: line 1: the column note is not known, and is ignored",
            concat!(
                r#"{"url":"http://h/a","mirrors":["http://m/a","http://n/a"],"output":"a, b","size_bytes":5,"#,
                r#""options":{"headers":[["a","1"],["b","2"]]}}"#
            ),
            r#"{"url":"http://h/b"}"#,
            "line 6: it has no URL",
            "line 7: not a URL (got \"nowhere\")",
            "line 8: 7 fields below 6 columns",
        ]
    );
    assert_eq!(said(ListFormat::Csv, "# ours\n\nurl\nhttp://h/a\n"), [r#"{"url":"http://h/a"}"#]);
    let unclosed = "url,output\nhttp://h/a,x\nhttp://h/b,\"y\nhttp://h/c,z\n";
    let why = "line 3: a quote is not closed; the list may have been cut off";
    assert_eq!(said(ListFormat::Csv, unclosed), [r#"{"url":"http://h/a","output":"x"}"#, why]);
    assert!(said(ListFormat::Csv, "").is_empty() && said(ListFormat::Csv, "url\n").is_empty());
    for field in ["headers", "note"] {
        let swallows = format!("url,{field}\nhttp://h/a,\"A: 1\nhttp://h/b,\"B: 2\n");
        let said = said(ListFormat::Csv, &swallows);
        let why = format!("a line break in the field {field}: a quote is not closed, or not in its place");
        assert!(said.last().unwrap().ends_with(&why), "{said:?}");
    }
    let twice = said(ListFormat::Csv, "url,checksum,checksum\nhttp://h/a,,\n");
    assert_eq!(twice, ["failed: its first line names the column checksum twice"]);
    let open = format!("url\n\"http://h/{}", "a".repeat(2 * RECORD_BYTES_MAX));
    assert!(said(ListFormat::Csv, &open)[0].starts_with("failed: a record is longer than 256 KiB"));
}

const METALINK_4: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<metalink xmlns="urn:ietf:params:xml:ns:metalink">
  <generator>x</generator>
  <file name="sub/a &amp; b.iso">
    <size>5</size>
    <hash type="md5">d41d8cd98f00b204e9800998ecf8427e</hash>
    <hash type="sha-1">da39a3ee5e6b4b0d3255bfef95601890afd80709</hash>
    <hash type="tiger">00</hash>
    <pieces length="3" type="sha-1">
      <hash>da39a3ee5e6b4b0d3255bfef95601890afd80709</hash>
      <hash>da39a3ee5e6b4b0d3255bfef95601890afd80709</hash>
    </pieces>
    <url priority="2">http://second/a</url>
    <url location="de" priority="1">http://first/a?x=1&#38;y=2</url>
    <publisher name="x"><url>http://home/page</url></publisher>
    <url>http://last/a</url>
    <url priority="1">ftp://f/a</url>
    <metaurl mediatype="torrent">http://h/a.torrent</metaurl>
  </file>
  <file name="b"><url>ftp://f/b</url></file>
</metalink>"#;

#[test]
fn metalink_4_has_digests_pieces_and_mirrors_in_order() {
    let said = said(ListFormat::Metalink, METALINK_4);
    assert_eq!(
        said[0],
        concat!(
            r#"{"url":"http://first/a?x=1&y=2","mirrors":["http://second/a","http://last/a"],"output":"sub/a & b.iso","#,
            r#""checksum":"sha-1=da39a3ee5e6b4b0d3255bfef95601890afd80709","size_bytes":5,"pieces":{"algorithm":"sha-1","#,
            r#""piece_bytes":3,"total_bytes":5,"digests":"2jmj7l5rSw0yVb/vlWAYkK/YBwnaOaPuXmtLDTJVv++VYBiQr9gHCQ=="}}"#
        )
    );
    assert_eq!(said[1..], ["line 20: none of its URLs is of http or https"]);
}

#[test]
fn metalink_3_is_read_as_well() {
    let list = r#"<metalink version="3.0" xmlns="http://www.metalinker.org/"><files><file name="a">
        <size>6</size><verification><hash type="sha256">e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855</hash>
        <pieces type="sha1" length="3"><hash piece="0">da39a3ee5e6b4b0d3255bfef95601890afd80709</hash>
        <hash piece="1">da39a3ee5e6b4b0d3255bfef95601890afd80709</hash></pieces></verification>
        <resources maxconnections="3"><url type="http" preference="10">http://slow/a</url>
        <url type="http" preference="100" location="de">http://fast/a</url><url type="bittorrent" preference="200">http://h/a.torrent</url>
        </resources></file></files></metalink>"#;
    let said = said(ListFormat::Metalink, list);
    assert!(said[0].starts_with(r#"{"url":"http://fast/a","mirrors":["http://slow/a""#), "{said:?}");
    assert!(said[0].contains(r#""checksum":"sha-256=e3b0"#) && said[0].contains(r#""piece_bytes":3"#), "{said:?}");
    assert_eq!(said.len(), 1);
}

#[test]
fn a_metalink_whose_digests_cannot_be_used_is_not_fetched_as_if_it_had_none() {
    let hex = "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5";
    let hash = |text: &str| format!("<hash type=\"sha-256\">{text}</hash>");
    let of_pieces = |begin: &str, hashes: &str| format!("<size>9</size><pieces {begin}>{hashes}</pieces>");
    let sha_1 = "<hash>da39a3ee5e6b4b0d3255bfef95601890afd80709</hash>";
    let cases = [
        (hash(&hex[1..]), "its sha-256 digest cannot be read"),
        (hash(""), "its sha-256 digest cannot be read"),
        (format!("<hash>{hex}</hash>"), "a digest has no type"),
        (hash(hex) + &hash(&hex.replace('5', "6")), "it has two different sha-256 digests"),
        (of_pieces("type=\"sha-1\" length=\"9\"", "<hash>x</hash>"), "the sha-1 digest of a piece cannot be read"),
        (of_pieces("type=\"sha-1\"", sha_1), "its pieces have no length"),
        (of_pieces("type=\"sha-1\" length=\"9\"", ""), "its pieces have no digests"),
        (of_pieces("length=\"9\"", sha_1), "a digest has no type"),
    ];
    let list = |what: &str| {
        format!("<metalink xmlns:x=\"urn:x\"><file name=\"a\">{what}<url>http://h/a</url></file></metalink>")
    };
    for (what, why) in &cases {
        assert_eq!(said(ListFormat::Metalink, &list(what)), [format!("line 1: {why}")], "{what}");
    }
    // Each digest may be given again, and its type stand between blanks.
    let twice = hash(hex) + &format!("<hash type=\" sha-256 \">{hex}</hash>");
    assert!(said(ListFormat::Metalink, &list(&twice))[0].contains(hex));
    // What is not Metalink's own says nothing of it.
    let foreign = format!("<x:hash type=\"sha-256\">{hex}</x:hash><x:more>{}</x:more>", hash(hex));
    let foreign = foreign + &format!("<more xmlns=\"urn:x\">{}</more>", hash(hex));
    assert_eq!(said(ListFormat::Metalink, &list(&foreign)), [r#"{"url":"http://h/a","output":"a"}"#]);
    let unknown = said(ListFormat::Metalink, &list("<hash type=\"sha-1024\">00</hash>"));
    assert_eq!(unknown[0], "warning: line 1: the kind of digest sha-1024 is not known, and is ignored");
}

#[test]
fn hostile_metalinks_do_nothing() {
    let bomb = r#"<?xml version="1.0"?><!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]>
        <metalink><file name="&b;"><url>http://h/a</url></file></metalink>"#;
    let external = r#"<?xml version="1.0"?><!DOCTYPE m [<!ENTITY a SYSTEM "file:///etc/passwd">]>
        <metalink><file name="a"><url>http://h/&a;</url></file></metalink>"#;
    let deep = format!("<metalink>{}", "<a>".repeat(100));
    let long = format!("<metalink><file name=\"{}\"/>", "a".repeat(1 << 20));
    for list in
        [bomb, external, &deep, &long, "<metalink><file name=\"a\">", "<html></html>", "<?xml version=\"1.0\"?>"]
    {
        let said = said(ListFormat::Metalink, list);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("failed: "), "{said:?}");
        assert!(!said[0].contains("root:"), "{said:?}");
    }
}

#[test]
fn pieces_that_do_not_fit_the_file_are_an_error() {
    for (size, length, hashes) in [(5, 3, 1), (5, 3, 3), (5, 0, 2)] {
        let hash = "<hash>da39a3ee5e6b4b0d3255bfef95601890afd80709</hash>".repeat(hashes);
        let list = format!(
            "<metalink><file name=\"a\"><size>{size}</size><pieces type=\"sha-1\" length=\"{length}\">{hash}</pieces>\
             <url>http://h/a</url></file></metalink>"
        );
        let said = said(ListFormat::Metalink, &list);
        assert_eq!(said, ["line 1: its size and its pieces do not fit each other"]);
    }
    let hash = "<hash>da39a3ee5e6b4b0d3255bfef95601890afd80709</hash>".repeat(2);
    let list = format!(
        "<metalink><file name=\"a\"><pieces type=\"sha-1\" length=\"3\">{hash}</pieces><url>http://h/a</url></file></metalink>"
    );
    assert!(said(ListFormat::Metalink, &list)[0].contains("pieces"), "without a size, the file shows it");
}

fn unpacked(bytes: Vec<u8>) -> io::Result<String> {
    let mut text = String::new();
    Unpacked::new(Box::new(Cursor::new(bytes)))?.read_to_string(&mut text)?;
    Ok(text)
}

#[test]
fn compressed_lists_are_unpacked_and_others_are_left_as_they_are() {
    let list = "http://h/a\n".repeat(1000);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(list.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(list.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest);
    for packed in [&gzip, &zstd] {
        assert!(is_packed(packed));
        assert_eq!(unpacked(packed.clone()).unwrap(), list);
        assert_eq!(unpacked([packed.as_slice(), packed].concat()).unwrap(), list.repeat(2), "several parts");
        assert!(unpacked(packed[..packed.len() - 5].to_vec()).is_err(), "cut");
        let mut damaged = packed.clone();
        let at = damaged.len() - 6;
        damaged[at] ^= 1;
        assert!(unpacked(damaged).is_err(), "its checksum does not match");
    }
    for plain in ["", "h", "http://h/a\n", "\u{1f}"] {
        assert_eq!(unpacked(plain.as_bytes().to_vec()).unwrap(), plain);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_to_the_end(
        format in prop_oneof![
            Just(ListFormat::Aria2), Just(ListFormat::JsonLines), Just(ListFormat::Csv), Just(ListFormat::Metalink)
        ],
        is_strict in any::<bool>(),
        list in proptest::collection::vec(
            prop_oneof![
                Just(b"http://h/a".to_vec()), Just(b"\n out=".to_vec()), Just(b"{\"url\":\"".to_vec()),
                Just(b"url,output\n".to_vec()), Just(b"<metalink><file name=\"a\">".to_vec()), Just(b"</url>".to_vec()),
                Just(b"<url>".to_vec()), Just(b"\"".to_vec()), Just(b"\n".to_vec()),
                proptest::collection::vec(any::<u8>(), 0..6),
            ],
            0..40
        ),
    ) {
        said_of(format, &list.concat(), is_strict);
    }
}

#[test]
fn of_more_urls_than_are_kept_the_best_count() {
    let dead: String = (0..70).map(|number| format!("<url>http://dead{number}/a</url>")).collect();
    let list = format!(
        "<metalink><file name=\"a\">{dead}<url priority=\"2\">http://second/a</url><url priority=\"1\">http://first/a</url></file></metalink>"
    );
    let said = said(ListFormat::Metalink, &list).remove(0);
    assert!(said.starts_with(r#"{"url":"http://first/a","mirrors":["http://second/a","http://dead0/a","#), "{said}");
    assert_eq!(said.matches("http://").count(), URLS_MAX);
}
