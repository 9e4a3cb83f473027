//! What a machine boots with: a script that fetches the program, prepares the machine and becomes a client.

use std::fmt::Write;

use super::programs::Programs;
use crate::protocol::join::{INSTANCE_HEADER, Invitation, PROGRAM};

/// Run by cloud-init as root, by whatever `sh` there is. What stands in quotes was put there by [`script`].
const BODY: &str = include_str!("user_data.sh");

/// The script. The same bytes for the same instance.
///
/// # Errors
/// The invitation cannot be written down.
pub(super) fn script(
    invitation: &Invitation,
    programs: &Programs,
    setup: Option<&str>,
) -> Result<String, serde_json::Error> {
    let mut script = String::from("#!/bin/sh\n# Makes this machine a client of job-orchestrator.\n");
    let mut set = |name: &str, value: &str| {
        // Writing to a string does not fail.
        let _ = writeln!(script, "{name}={}", quoted(value));
    };
    set("server", &invitation.server);
    set("program_path", PROGRAM);
    set("pin", &invitation.pin.to_string());
    set(
        "headers",
        &format!("{INSTANCE_HEADER}: {}\nAuthorization: Bearer {}\n", invitation.instance, invitation.token),
    );
    let digests: Vec<String> = programs.digests().map(|(name, digest)| format!("{name} {digest}")).collect();
    set("digests", &digests.join("\n"));
    set("invitation", &serde_json::to_string(invitation)?);
    set("setup", setup.unwrap_or_default());
    script.push_str(BODY);
    Ok(script)
}

/// For a shell, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn shell_takes_any_text_as_it_is() {
        for text in ["", "plain", "it's", "$(reboot) `reboot` \\ \" \n'", "ä €"] {
            let output = Command::new("sh").args(["-c", &format!("printf %s {}", quoted(text))]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }
}
