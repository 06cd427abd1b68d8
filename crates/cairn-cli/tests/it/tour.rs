//! The tour: it passes, and it notices when it should not.

use serde_json::Value;

use crate::support::{Dir, Ran};

const STEPS: [&str; 9] =
    ["create", "import", "backup", "write", "kill", "flip", "delete", "restore", "prove"];

fn tour(more: &[&str]) -> Ran {
    let dir = Dir::new();
    for i in 0..20 {
        dir.write(&format!("input/folder/{i}.txt"), vec![b'x'; 1 << i.min(16)]);
    }
    dir.write("input/.hidden", "nobody's business");
    dir.run(&[&["tour", "--input", "input", "--dir", "there"], more].concat())
}

fn events(ran: &Ran) -> Vec<Value> {
    ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_tour_passes() {
    let ran = tour(&["--json"]).good();
    let events = events(&ran);
    let steps = events.iter().filter_map(|event| event["step"].as_str()).collect::<Vec<_>>();
    assert_eq!(steps, STEPS);
    let of = |step: &str| events.iter().find(|event| event["step"] == step).unwrap();
    assert_eq!(of("import")["files"], 20);
    assert!(of("backup")["commits_meanwhile"].as_u64() > Some(0));
    assert!(of("kill")["in_flight"].as_u64() > Some(0));
    assert!(of("kill")["acknowledged"].as_u64() > Some(100));
    assert!(of("flip")["flips"].as_u64() > Some(10));
    assert_eq!(of("flip")["not_needed"], 0);
    assert_eq!(of("prove")["blake3"], of("backup")["blake3"]);
    assert_eq!(events.last().unwrap()["event"], "done");
}

#[test]
fn the_tour_tells_people_where_things_lie() {
    let dir = Dir::new();
    let ran = dir.run(&["tour", "--input", "."]).good();
    let lines: Vec<_> = ran.text().lines().collect();
    for step in STEPS {
        assert!(lines.iter().any(|line| line.starts_with(step)), "{step}: {}", ran.text());
    }
    for (command, code) in [("cairn info ", 0), ("cairn log ", 0), ("cairn verify ", 3)] {
        let line = lines.iter().find(|line| line.contains(command)).unwrap();
        let args: Vec<_> = line.split_once("cairn ").unwrap().1.split(' ').collect();
        assert_eq!(dir.run(&args).code, code, "{line}");
    }
}

#[test]
fn each_step_notices_its_sabotage() {
    for step in STEPS {
        let ran = tour(&["--sabotage", step]);
        assert!(ran.code != 0 && ran.code != 2 || step == "create", "{step}: {}", ran.code);
        assert!(ran.err.starts_with(&format!("error: step {step}: ")), "{step}: {}", ran.err);
        assert!(!ran.err.contains("it passed"), "{step}: {}", ran.err);
        assert!(!ran.text().contains("all is well"), "{step}");
    }
}

#[test]
fn a_failed_step_is_named_to_programs() {
    let ran = tour(&["--sabotage", "restore", "--json"]);
    let events = events(&ran);
    let [.., failed, error] = &events[..] else { panic!("{events:?}") };
    assert_eq!((&failed["event"], &failed["step"]), (&"failed".into(), &"restore".into()));
    assert_eq!(error["error"]["kind"], "corrupt");
}
