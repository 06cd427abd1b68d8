//! `page`: makes the report of a sample, and lets a browser without a window lay it out.
//!
//! What a page says is held by the tests of the command; what only a browser knows is whether it can be seen: that every
//! picture has a size, that nothing sticks out, also on a narrow screen, and that nothing was fetched or run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;

use crate::{Result, process};

/// The page that is committed, for whoever wants to see one.
const SAMPLE: &str = "docs/report.html";
/// Names that browsers of this kind have.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/// A screen on a desk, and one in a hand.
const WIDTHS: [u32; 2] = [1200, 390];

/// What to do with the page.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Make it the page that is committed
    #[arg(long)]
    write: bool,
}

/// Makes the page, and looks at it and at the one that is committed.
pub(crate) fn run(options: &Options) -> Result {
    process::run(&mut process::cargo(&["build", "--locked", "-q", "-p", "cairn-cli"]))?;
    let dir = process::root().join("target/page");
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    let page = make(&dir)?;
    let sample = process::root().join(SAMPLE);
    if options.write {
        fs::copy(&page, &sample)?;
        println!("page: wrote {SAMPLE}");
    }
    let found =
        BROWSERS.into_iter().find(|name| process::works(Command::new(name).arg("--version")));
    let Some(browser) = found else {
        eprintln!(
            "SKIPPED: nobody has looked at the page: there is none of {}",
            BROWSERS.join(", ")
        );
        return Ok(());
    };
    for page in [&page, &sample] {
        for width in WIDTHS {
            let seen = look(browser, page, width, &dir)?;
            judge(&seen, width).map_err(|problem| format!("{}: {problem}", page.display()))?;
            println!(
                "page: {}: {} pictures, {width} pixels wide: all can be seen",
                page.display(),
                seen.pictures.len()
            );
        }
    }
    Ok(())
}

/// The report of a repository with holes, labels, proofs, something removed, and an environment with files of all kinds.
fn make(dir: &Path) -> Result<PathBuf> {
    let cairn = process::root().join("target/debug/cairn");
    let run = |line: &str| {
        let mut command = Command::new(&cairn);
        process::output(command.args(line.split(' ')).current_dir(dir)).map(drop)
    };
    run("init data")?;
    run("repo init backups")?;
    for n in 0..24_u32 {
        for k in 0..3 {
            let value = format!("{n}").repeat(900);
            run(&format!("put data key-{k}-{} {value}", n % 7))?;
        }
        if n % 6 < 3 {
            run("ship data backups --once")?;
        }
        let label = if n % 8 == 5 { format!(" --label week-{n}") } else { String::new() };
        run(&format!("backup data --repo backups{label}"))?;
        if n % 5 == 4 {
            run("prove backups")?;
        }
        if n % 7 == 6 {
            run("drill backups")?;
        }
        if n % 9 == 8 {
            run("repo check backups --record")?;
        }
    }
    run("prune backups --keep-last 18 --apply")?;
    run("report data --repo backups --html report.html")?;
    Ok(dir.join("report.html"))
}

/// What a browser has seen.
#[derive(Deserialize)]
struct Seen {
    /// Width and height of each picture.
    pictures: Vec<(f64, f64)>,
    /// The width of all that is there, and of the screen.
    content: f64,
    screen: f64,
    /// What was fetched beside the page.
    fetched: Vec<String>,
    /// Texts in pictures that stick out of them.
    outside: Vec<String>,
}

/// Asks it, by a script in a copy of the page: the page has none.
const QUESTION: &str = r#"<script>addEventListener("load", () => {
const box = e => e.getBoundingClientRect();
const pictures = [...document.querySelectorAll("svg[role=img]")];
const outside = pictures.flatMap(p => [...p.querySelectorAll("text")].filter(t => {
  const [a, b] = [box(p), box(t)];
  return b.left < a.left - 1 || b.right > a.right + 1 || b.top < a.top - 1 || b.bottom > a.bottom + 1;
}).map(t => t.textContent));
document.body.dataset.seen = encodeURIComponent(JSON.stringify({
  pictures: pictures.map(p => [box(p).width, box(p).height]),
  content: document.documentElement.scrollWidth, screen: document.documentElement.clientWidth,
  fetched: performance.getEntriesByType("resource").map(r => r.name), outside}));
});</script>"#;

fn look(browser: &str, page: &Path, width: u32, dir: &Path) -> Result<Seen> {
    let asked = dir.join("asked.html");
    let text = fs::read_to_string(page)
        .map_err(|error| format!("{}: {error}; --write makes it", page.display()))?;
    fs::write(&asked, text.replace("</body>", &format!("{QUESTION}</body>")))?;
    let mut command = Command::new(browser);
    command.args([
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--virtual-time-budget=2000",
        "--dump-dom",
    ]);
    command
        .arg(format!("--window-size={width},2000"))
        .arg(format!("--user-data-dir={}", dir.join("profile").display()));
    let dom = process::output(command.arg(format!("file://{}", asked.display())))?;
    let seen = dom.split_once("data-seen=\"").and_then(|(_, rest)| rest.split_once('"'));
    let (seen, _) = seen.ok_or("the browser has not answered")?;
    Ok(serde_json::from_str(&decode(seen))?)
}

/// Text of which bytes are written `%7B`.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let code = after
            .get(..2)
            .and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match (first, code) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn judge(seen: &Seen, width: u32) -> std::result::Result<(), String> {
    let Seen { pictures, content, screen, fetched, outside } = seen;
    if pictures.len() < 5 {
        return Err(format!("{} pictures", pictures.len()));
    }
    if let Some(flat) = pictures.iter().position(|(width, height)| *width < 100.0 || *height < 10.0)
    {
        return Err(format!("picture {flat} is {:?} at a width of {width}", pictures[flat]));
    }
    if *content > *screen + 1.0 {
        return Err(format!("it is {content} wide on a screen of {screen}"));
    }
    if let Some(text) = outside.first() {
        return Err(format!("{text:?} sticks out of its picture at a width of {width}"));
    }
    match fetched.first() {
        Some(foreign) => Err(format!("{foreign} is fetched")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Seen {
        Seen {
            pictures: vec![(900.0, 50.0); 5],
            content: 1200.0,
            screen: 1200.0,
            fetched: Vec::new(),
            outside: Vec::new(),
        }
    }

    #[test]
    fn what_cannot_be_seen_is_no_good_page() {
        assert_eq!(judge(&good(), 1200), Ok(()));
        assert!(judge(&Seen { content: 1300.0, ..good() }, 1200).is_err());
        assert!(judge(&Seen { pictures: vec![(900.0, 50.0); 4], ..good() }, 1200).is_err());
        assert!(judge(&Seen { outside: vec!["0".into()], ..good() }, 1200).is_err());
        assert!(judge(&Seen { fetched: vec!["http://x/".into()], ..good() }, 1200).is_err());
        let mut flat = good();
        flat.pictures[2].1 = 0.0;
        assert!(judge(&flat, 1200).is_err());
    }

    #[test]
    fn an_answer_is_read() {
        assert_eq!(decode("%7B%22a%22%3A1%7D"), "{\"a\":1}");
        assert_eq!(decode("%"), "%");
        assert_eq!(decode("%zz"), "%zz");
    }

    #[test]
    fn the_page_that_is_committed_is_one() {
        let page = fs::read_to_string(process::root().join(SAMPLE)).unwrap();
        assert!(page.len() < 1 << 20 && page.ends_with("</html>\n"));
        assert!(page.matches("role=\"img\"").count() >= 5);
    }
}
