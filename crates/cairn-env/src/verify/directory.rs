//! The directories: whether all that an open starts from is still there.

use std::collections::BTreeSet;

use cairn_io::Access;

use super::{Finding, Reach};
use crate::{core::Core, state::StateFile, sync::lock};

/// Looks at what is read only when an environment is opened. Whoever has it open for reading has just read
/// that, and another process may be changing it; files that are being restored or repaired become what
/// CURRENT names only when they were verified.
pub(super) fn verify(core: &Core) -> Vec<Finding> {
    if core.options.read_only || lock(&core.hold).is_none() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut found = |file: String, problem: String| {
        findings.push(Finding::of_file(file, None, problem, Reach::NextOpen));
    };
    let identity = &core.files.identity;
    match core.root.current() {
        Ok(Some(current)) if current.environment == identity.environment => {}
        Ok(Some(current)) => {
            let other = format!("CURRENT names another environment, {}", current.environment);
            found("CURRENT".into(), other);
        }
        Ok(None) => found("CURRENT".into(), "CURRENT is missing".into()),
        Err(error) => found("CURRENT".into(), error.to_string()),
    }
    match StateFile::open(&*core.files.dir, Access::Read) {
        // One that a crash has torn is in the recovery report; one that is being written looks damaged
        // for a moment.
        Ok((_, state)) if state.damaged_slot && !core.report.state_slot_damaged => {
            match StateFile::open(&*core.files.dir, Access::Read) {
                Ok((_, again)) if !again.damaged_slot => {}
                Ok(_) => found("STATE".into(), "one of the two slots of STATE is damaged".into()),
                Err(error) => found("STATE".into(), error.to_string()),
            }
        }
        Ok((_, state)) => {
            // They have opened it.
            let (keys, are_right) = (core.options.encryption.as_ref(), true);
            if let Err(error) = state.authenticate(keys, are_right, core.root.dir.path()) {
                found("STATE".into(), error.to_string());
            }
        }
        Err(error) => found("STATE".into(), error.to_string()),
    }
    let mut listed = BTreeSet::new();
    for (number, dir) in core.files.dirs() {
        match dir.list() {
            Ok(entries) => listed.extend(entries.into_iter().map(|entry| entry.display)),
            Err(error) => {
                found(core.files.path_of(number).display().to_string(), error.to_string())
            }
        }
    }
    for file in core.files.all() {
        let name = file.name().to_string();
        // One that was removed since, or created, is none of those that should be there.
        if !listed.contains(&name)
            && core.still_has(&file)
            && file.handle().links().is_ok_and(|n| n == 0)
        {
            let problem = format!("log file {name} was deleted while it was in use");
            found(name, problem);
        }
    }
    findings
}
