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
    set("patience", &invitation.idle_patience_seconds.to_string());
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
    use std::sync::LazyLock;

    use domain::Labels;
    use domain::pool::InstanceId;
    use provider_ec2::Architecture;

    use super::*;
    use crate::protocol::join::INVITATION_FORMAT;

    /// What AWS takes, and what the configuration leaves to `setup` and `ready_command` of it, in bytes.
    const ALL: usize = 16_384;
    const OPERATORS: usize = 12_000;

    fn invitation() -> Invitation {
        Invitation {
            format: INVITATION_FORMAT,
            server: "https://orchestrator.eu-west-1.compute.internal:5001".to_owned(),
            pin: format!("sha256//{}=", "A".repeat(43)).parse().unwrap(),
            instance: InstanceId(1_000_017),
            token: "t".repeat(64),
            server_token: "s".repeat(64),
            slots: 4,
            labels: Labels::from_pairs(["gpu=true", "memory_gb=16", "zone=eu-west-1a"]).unwrap(),
            ready_command: None,
            idle_patience_seconds: 3_600,
            result_patience_seconds: 86_400,
            metadata: Some("http://169.254.169.254".to_owned()),
            ends_jobs: false,
        }
    }

    /// Of two architectures. Made once: this very binary is large.
    static PROGRAMS: LazyLock<Programs> = LazyLock::new(|| {
        let other = [Architecture::X86_64, Architecture::Aarch64];
        let other = other.into_iter().find(|name| name.to_string() != std::env::consts::ARCH);
        Programs::open(&other.map(|name| (name, "/proc/self/status".into())).into_iter().collect()).unwrap()
    });

    fn made(setup: Option<&str>) -> String {
        script(&invitation(), &PROGRAMS, setup).unwrap()
    }

    /// What a shell makes of the lines before the first command, and of what `after` says then.
    fn told(script: &str, after: &str) -> String {
        let assignments = script.split(BODY).next().unwrap();
        let output = Command::new("sh").args(["-c", &format!("{assignments}\n{after}")]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    #[test]
    fn shell_takes_any_text_as_it_is() {
        for text in ["", "plain", "it's", "$(reboot) `reboot` \\ \" \n'", "ä €"] {
            let output = Command::new("sh").args(["-c", &format!("printf %s {}", quoted(text))]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }

    #[test]
    fn script_is_the_same_on_every_repeat_and_tells_what_the_invitation_does() {
        let setup = "echo 'it works' && apt-get install -y gawk";
        let script = made(Some(setup));
        assert_eq!(script, made(Some(setup)));
        assert!(script.starts_with("#!/bin/sh\n"), "cloud-init runs nothing else");
        assert_eq!(told(&script, "printf %s \"$setup\""), setup);
        assert_eq!(told(&script, "printf %s \"$pin\""), invitation().pin.to_string());
        let found: Invitation = serde_json::from_str(&told(&script, "printf %s \"$invitation\"")).unwrap();
        assert_eq!((found.token, found.slots), (invitation().token, 4));
        let headers = told(&script, "printf %s \"$headers\"");
        assert_eq!(headers, format!("x-orchestrator-instance: 1000017\nAuthorization: Bearer {}\n", "t".repeat(64)));
    }

    #[test]
    fn script_leaves_the_operator_the_room_that_the_configuration_promises() {
        let (alone, full) = (made(None), made(Some(&"x".repeat(OPERATORS))));
        assert!(full.len() <= ALL, "{} bytes, {} of them ours", full.len(), alone.len());
    }

    #[test]
    fn no_secret_is_an_argument_of_a_program() {
        // What is not assigned nor written by the shell itself would be in everybody's list of processes.
        let by_the_shell = ["printf %s \"$headers\"", "printf %s \"$invitation\""];
        for line in BODY.lines().filter(|line| line.contains("$headers") || line.contains("$invitation")) {
            assert!(by_the_shell.iter().any(|start| line.trim().starts_with(start)), "{line}");
        }
        let output = Command::new("sh").args(["-n", "-c", &made(None)]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
