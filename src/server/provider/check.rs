//! What AWS says about a pool before anything is launched: its types, its image, and each way in which it may launch.
//!
//! Nothing is launched or changed. AWS tries neither capacity nor quotas, so that a launch goes well is not promised.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use domain::pool::{InstanceId, Launch, Lifecycle, Place, PoolName, ServerId, Tag, TypeSettings};
use provider_ec2::{Architecture, CallError, Ec2, ImageState, MachineType, Patience, Settings};

use super::{Order, ProviderError, ec2};
use crate::config::pool_settings::{Ec2Account, Ec2Pool, Pool, PoolProvider};
use crate::files::elf;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What: a type, an image, a launch.
    pub about: String,
    pub verdict: Verdict,
}

/// How it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Good(String),
    /// It works, and may not be meant.
    Doubtful(String),
    Bad {
        what: String,
        remedy: String,
    },
}

/// Asks about pools of one account.
#[derive(Debug)]
struct Checker<'a> {
    ec2: Ec2,
    /// The programs that instances find on the server, by the processors they are for.
    served: &'a BTreeMap<Architecture, PathBuf>,
    tag: ServerId,
}

/// All that is to be said about each pool. Instances find the programs of `served` on the server; `tag` is what dry runs
/// have in place of its id.
pub async fn check(
    account: Option<&Ec2Account>,
    pools: &[&Pool],
    served: &BTreeMap<Architecture, PathBuf>,
    tag: ServerId,
) -> Vec<(PoolName, Vec<Finding>)> {
    let checker = match account {
        Some(account) => {
            let (region, endpoint) = (account.region.clone(), account.endpoint.clone());
            let ec2 = Ec2::connect(&Settings { region, endpoint, patience: Patience::default() }).await;
            Some(Checker { ec2, served, tag })
        }
        None => None,
    };
    let mut checked = Vec::new();
    for pool in pools {
        let findings = match (&pool.provider, &checker) {
            (PoolProvider::Ec2(ec2_pool), Some(checker)) => checker.check(pool, ec2_pool).await,
            // A pool on EC2 without an account is a mistake in the settings, and comes to no check.
            (PoolProvider::Process | PoolProvider::Ec2(_), _) => {
                let text = "its instances are processes of the server's machine: nobody has to be asked".to_owned();
                vec![Finding { about: "provider".to_owned(), verdict: Verdict::Good(text) }]
            }
        };
        checked.push((pool.settings.name.clone(), findings));
    }
    checked
}

impl Checker<'_> {
    async fn check(&self, pool: &Pool, ec2_pool: &Ec2Pool) -> Vec<Finding> {
        let mut findings = Vec::new();
        let mut machines = Vec::new();
        for of_type in &pool.settings.types {
            machines.extend(self.machine(of_type, &mut findings).await);
        }
        self.programs(&machines, &mut findings);
        self.image(ec2_pool, &machines, &mut findings).await;
        for of_type in &pool.settings.types {
            for (lifecycle, place) in pool.settings.tiers() {
                findings.push(self.launch(pool, ec2_pool, of_type, lifecycle, place).await);
            }
        }
        findings
    }

    async fn machine(&self, of_type: &TypeSettings, findings: &mut Vec<Finding>) -> Option<MachineType> {
        let name = of_type.name.to_string();
        let mut found = |verdict| findings.push(Finding { about: format!("type {name}"), verdict });
        let machine = match self.ec2.machine_types(std::slice::from_ref(&name)).await {
            Ok(machines) => machines.into_iter().next(),
            Err(error) => {
                found(bad(&error));
                return None;
            }
        };
        let Some(machine) = machine else {
            let remedy = "take it out of the pool, or see whether it is written right".to_owned();
            found(Verdict::Bad { what: "AWS says nothing about it".to_owned(), remedy });
            return None;
        };
        let (slots, vcpus) = (of_type.declared.slots, machine.vcpus);
        let architectures = words(&machine.architectures);
        let told = format!("{architectures}, {vcpus} processors, {} MiB; {slots} slots", machine.memory_mib);
        if !machine.architectures.iter().any(|architecture| self.served.contains_key(architecture)) {
            found(Verdict::Bad {
                what: format!("{told}; there is no program for it"),
                remedy: format!(
                    "give --client-binary {}=FILE",
                    machine.architectures.first().map_or_else(String::new, ToString::to_string)
                ),
            });
        } else if slots > vcpus {
            found(Verdict::Doubtful(format!("{told}: more jobs than processors")));
        } else {
            found(Verdict::Good(told));
        }
        Some(machine)
    }

    /// What the images have to have for the programs. AWS does not tell what they have.
    fn programs(&self, machines: &[MachineType], findings: &mut Vec<Finding>) {
        let runs_on =
            |architecture: &&Architecture| machines.iter().any(|machine| machine.architectures.contains(architecture));
        for (architecture, path) in self.served.iter().filter(|(architecture, _)| runs_on(architecture)) {
            let verdict = match elf::glibc(path) {
                Ok(None) => Verdict::Good("static: it runs on any image".to_owned()),
                Ok(Some((major, minor))) => {
                    Verdict::Good(format!("it runs on images with glibc {major}.{minor} or later"))
                }
                Err(error) => Verdict::Bad {
                    what: format!("{} cannot be read: {error}", path.display()),
                    remedy: "give a readable file".to_owned(),
                },
            };
            findings.push(Finding { about: format!("program for {architecture}"), verdict });
        }
    }

    async fn image(&self, pool: &Ec2Pool, machines: &[MachineType], findings: &mut Vec<Finding>) {
        let Some(id) = &pool.image else { return };
        let verdict = match self.ec2.images(std::slice::from_ref(id)).await {
            Err(error) => bad(&error),
            Ok(images) => match images.into_iter().next() {
                None => Verdict::Bad {
                    what: "AWS says nothing about it".to_owned(),
                    remedy: "give an image of this region that the account may use".to_owned(),
                },
                Some(image) => {
                    let unfit = |machine: &&MachineType| !machine.architectures.contains(&image.architecture);
                    let unfit: Vec<&str> = machines.iter().filter(unfit).map(|machine| machine.name.as_str()).collect();
                    match image.state {
                        ImageState::Other(state) => Verdict::Bad {
                            what: format!("it is {state}"),
                            remedy: "wait until it is available, or give another one".to_owned(),
                        },
                        ImageState::Available if !unfit.is_empty() => Verdict::Bad {
                            what: format!("it is for {}, and {} is not", image.architecture, unfit.join(", ")),
                            remedy: "have a pool for each architecture".to_owned(),
                        },
                        ImageState::Available => Verdict::Good(format!("available, for {}", image.architecture)),
                    }
                }
            },
        };
        findings.push(Finding { about: format!("image {id}"), verdict });
    }

    /// One way to launch, as the server would ask for it.
    async fn launch(
        &self,
        pool: &Pool,
        ec2_pool: &Ec2Pool,
        of_type: &TypeSettings,
        lifecycle: Lifecycle,
        place: &Place,
    ) -> Finding {
        let launch = Launch {
            of_type: of_type.name.clone(),
            place: place.clone(),
            lifecycle,
            price: of_type.price(lifecycle),
            shapes: BTreeSet::new(),
        };
        let about = format!("launch {} in {place}, {lifecycle}", of_type.name);
        let verdict = match self.dry_run(pool, ec2_pool, launch).await {
            Ok(()) => Verdict::Good("AWS would take it".to_owned()),
            Err(ProviderError::Ec2(error)) => bad(&error),
            Err(error) => Verdict::Bad { what: error.to_string(), remedy: "mend the pool's configuration".to_owned() },
        };
        Finding { about, verdict }
    }

    async fn dry_run(&self, pool: &Pool, ec2_pool: &Ec2Pool, launch: Launch) -> Result<(), ProviderError> {
        let tag = Tag { server: self.tag.clone(), pool: pool.settings.name.clone(), instance: InstanceId(0) };
        // Whatever an instance boots with, AWS does not look into it.
        let boot = pool.setup.clone().unwrap_or_default().into_bytes();
        let parameters = ec2::prepare(ec2_pool, &tag, &launch, boot)?;
        let request = ec2::request(&Order { tag, launch, parameters })?;
        Ok(self.ec2.dry_run(&request).await?)
    }
}

fn words(architectures: &[Architecture]) -> String {
    architectures.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

fn bad(error: &CallError) -> Verdict {
    Verdict::Bad { what: format!("{} ({})", error, error.code()), remedy: remedy(error).to_owned() }
}

/// As the table in docs/autoscaling.md.
fn remedy(error: &CallError) -> &'static str {
    match error {
        CallError::NoCapacity(_) => "give another type, zone or subnet beside it",
        CallError::Throttled(_) => "ask again later; other programs in the account may be the cause",
        CallError::Denied(_) => {
            "give the server the rights of docs/autoscaling.md, and look at keys, account and clock"
        }
        CallError::Limit(_) => "ask AWS for a higher quota, or have fewer instances",
        CallError::Unsupported(_) => "take the type or the zone out of the pool",
        CallError::Misconfigured(_) | CallError::NotFound(_) => "mend what is named, in the pool's configuration",
        CallError::TokenMismatch(_) | CallError::TokenSpent(_) => "ask again",
        CallError::Refused(_) => "do what the message says",
        CallError::Unanswered { .. } => "ask again",
        CallError::Unreachable { .. } => "look at the network, the region's name, and DNS",
        CallError::NoCredentials { .. } => "give credentials, by AWS_ACCESS_KEY_ID, ~/.aws, or the machine's role",
    }
}

impl Verdict {
    /// The stable word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Good(_) => "good",
            Self::Doubtful(_) => "doubtful",
            Self::Bad { .. } => "bad",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Good(text) | Self::Doubtful(text) => f.write_str(text),
            Self::Bad { what, remedy } => write!(f, "{what}; {remedy}"),
        }
    }
}
