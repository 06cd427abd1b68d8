//! `cairn report`: one page that needs nothing else, whatever things are called.

use crate::support::{Dir, Session};

#[test]
fn a_page_shows_points_holes_proofs_and_files_and_names_are_only_text() {
    let dir = Dir::new();
    let evil = "</title><script>alert(1)</script>";
    dir.run(&["init", "data"]).good();
    dir.run(&["repo", "init", "backups"]).good();
    for n in 0..4 {
        dir.run(&["put", "data", "key", &n.to_string()]).good();
        dir.run(&["put", "data", "other", &n.to_string()]).good();
        dir.run(&["backup", "data", "--repo", "backups", "--label", evil]).good();
    }
    dir.run(&["prove", "backups", "--point", "2"]).good();
    dir.run(&["drill", "backups"]).good();
    dir.run(&["report", "data", "--repo", "backups", "--html", "page.html"]).good();
    let page = std::fs::read_to_string(dir.path("page.html")).unwrap();
    for shown in [
        "every commit from",
        "hole from",
        "point 2",
        "proved",
        "back after",
        "&lt;script&gt;",
        "of use",
    ] {
        assert!(page.contains(shown), "{shown} is not on the page");
    }
    // Five pictures, and nothing that is run or fetched.
    assert_eq!(page.matches("role=\"img\"").count(), 5);
    for foreign in ["<script", "http:", "https:", "url(", "<link", "<img", "@import"] {
        assert!(!page.contains(foreign), "{foreign} is on the page");
    }
    // All that is opened is closed.
    for tag in ["svg", "table", "tr", "td", "th", "p", "h2", "title", "text", "span"] {
        let opened =
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn what_cannot_be_read_stands_on_the_page_and_the_old_page_stays_until_then() {
    let dir = Dir::new();
    dir.run(&["init", "data"]).good();
    dir.write("page.html", "old");
    let ran = dir.run(&["report", "data", "none", "--html", "page.html"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let page = std::fs::read_to_string(dir.path("page.html")).unwrap();
    assert!(page.contains("<b>none</b> cannot be read"), "{page}");
    let ran = dir.run(&["report", "data", "--html", "nowhere/page.html"]);
    assert_eq!(ran.code, 5, "{}", ran.err);
}

#[test]
fn a_report_is_told_of_in_json() {
    let mut session = Session::new(true);
    session.run("init data");
    session.run("repo init backups");
    session.run("backup data --repo backups");
    session.run("report data --repo backups --html page.html");
    session.run("report none --html page.html");
    session.run("report --html page.html");
    session.compare("report-json.txt");
}
