//! The programs that instances of other architectures than the server's own are given.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use provider_ec2::Architecture;

use super::mistakes::did_you_mean;
use super::parse;
use super::resolve::{Given, NOT_SET, Resolver};
use crate::files::elf;

const KEY: &str = "client_binary";
const KNOWN: [Architecture; 2] = [Architecture::X86_64, Architecture::Aarch64];

/// Each was looked into: a program for the wrong processor would be noticed on the first instance only.
pub(super) fn take(resolver: &mut Resolver<'_>) -> BTreeMap<Architecture, PathBuf> {
    let Some(given) = resolver.given(KEY) else {
        resolver.in_force(KEY, NOT_SET.into(), super::Origin::Default);
        return BTreeMap::new();
    };
    let mut programs = BTreeMap::new();
    for pair in given.text.split(',') {
        let given = Given { text: pair.trim().to_owned(), ..given.clone() };
        if let Some((architecture, path)) = program(resolver, &given) {
            programs.insert(architecture, path);
        }
    }
    resolver.in_force(KEY, given.text, given.origin);
    programs
}

fn program(resolver: &mut Resolver<'_>, given: &Given) -> Option<(Architecture, PathBuf)> {
    let Some((word, path)) = given.text.split_once('=') else {
        resolver.wrong(given, "no file is given", "give ARCH=FILE, such as aarch64=/opt/job-orchestrator-aarch64");
        return None;
    };
    let Some(architecture) = KNOWN.into_iter().find(|known| known.to_string() == word) else {
        let known = KNOWN.map(|known| known.to_string());
        let remedy = did_you_mean(word, known.iter().map(String::as_str));
        resolver.wrong(given, format!("no program is built for {word}"), remedy);
        return None;
    };
    let path = resolver.parse(&Given { text: path.to_owned(), ..given.clone() }, parse::path)?;
    match built_for(&path) {
        Ok(Some(found)) if found == architecture => return Some((architecture, path)),
        Ok(Some(found)) => resolver.wrong(
            given,
            format!("the file is a program for {found}"),
            format!("give one that is built for {architecture}"),
        ),
        Ok(None) => resolver.wrong(given, "the file is no program for Linux", "give one that is (ELF, 64 bits)"),
        Err(error) => {
            resolver.wrong(given, format!("the file cannot be read: {error}"), "give the path of a readable file");
        }
    }
    None
}

/// What a program is for; `None` where it is none.
fn built_for(path: &Path) -> io::Result<Option<Architecture>> {
    Ok(elf::machine(path)?.map(|machine| match machine {
        elf::X86_64 => Architecture::X86_64,
        elf::AARCH64 => Architecture::Aarch64,
        other => Architecture::Other(format!("another processor (ELF machine {other})")),
    }))
}
