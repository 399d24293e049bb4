//! Pages in place of what was asked for, as captive portals and expired sessions send them.

use towline_origin::{Fault, Origin, Page, PageBy, Resource, Scope, Switch};

use crate::client::{Client, End};

const HTML: &str = "<html>please log in</html>";

/// An origin whose every request meets the page while the switch is on.
fn origin(page: Page, portal: &Switch) -> Origin {
    Origin::builder()
        .resource(Resource::new("/a.bin", 7, 1000))
        .fault(Fault::Page(page).when(Scope::every().while_on(portal)))
        .start()
        .unwrap()
}

#[test]
fn a_portal_comes_up_and_goes_away() {
    for by in [PageBy::Length, PageBy::Chunked] {
        let portal = Switch::default();
        let origin = origin(Page::html(HTML).by(by.clone()), &portal);
        let mut client = Client::connect(&origin);
        client.get("/a.bin").assert_content(7, 0, 1000);
        portal.on();
        for path in ["/a.bin", "/elsewhere"] {
            let answer = client.range(path, "bytes=100-");
            assert_eq!((answer.status, answer.end, answer.body.as_slice()), (200, End::Whole, HTML.as_bytes()));
            assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
            assert_eq!((answer.header("etag"), answer.header("accept-ranges")), (None, None));
            assert_eq!(answer.header("content-length").is_some(), by == PageBy::Length);
        }
        portal.off();
        client.range("/a.bin", "bytes=100-").assert_content(7, 100, 900);
    }
}

#[test]
fn a_portal_redirects_to_its_page() {
    let portal = Switch::default();
    let to = "/login".to_owned();
    let origin = origin(Page::html(HTML).by(PageBy::Redirect { status: 302, to }), &portal);
    portal.on();
    let mut client = Client::connect(&origin);
    let answer = client.get("/a.bin");
    assert_eq!((answer.status, answer.header("location")), (302, Some("/login")));
    let answer = client.get("/login?from=a");
    assert_eq!((answer.status, answer.body.as_slice()), (200, HTML.as_bytes()));
}

#[test]
fn an_error_comes_as_json_with_status_200_from_the_second_request_on() {
    let error = Fault::Page(Page::json("{\"error\":\"expired\"}"));
    let resource = Resource::new("/a.bin", 7, 1000).fault(error.when(Scope::every().starting_at(2)));
    let origin = Origin::builder().resource(resource).start().unwrap();
    let mut client = Client::connect(&origin);
    client.get("/a.bin").assert_content(7, 0, 1000);
    let answer = client.get("/a.bin");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.body, b"{\"error\":\"expired\"}");
}

#[test]
fn a_page_has_any_status() {
    let portal = Switch::default();
    portal.on();
    let origin = origin(Page::html(HTML).status(511), &portal);
    let answer = Client::connect(&origin).get("/a.bin");
    assert_eq!((answer.status, answer.body.as_slice()), (511, HTML.as_bytes()));
}
