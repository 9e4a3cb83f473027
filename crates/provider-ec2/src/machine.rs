//! DescribeInstanceTypes: what a machine of a type has.

use std::fmt;

use aws_sdk_ec2::types::{self, InstanceType};

use crate::attempts::Watch;
use crate::connect::Ec2;
use crate::error::CallError;

/// For which processors a program, an image or a machine is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Architecture {
    /// AWS's `x86_64`.
    X86_64,
    /// AWS's `arm64`.
    Aarch64,
    /// Any other, in AWS's word.
    Other(String),
}

/// A type of machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineType {
    /// Such as `c7i.large`.
    pub name: String,
    /// What its processor runs.
    pub architectures: Vec<Architecture>,
    /// Virtual processors.
    pub vcpus: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
}

impl Architecture {
    pub(crate) fn read(word: &str) -> Self {
        match word {
            "x86_64" => Self::X86_64,
            "arm64" => Self::Aarch64,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
            Self::Other(word) => word,
        })
    }
}

impl Ec2 {
    /// What machines of these types have, in no order. A name that the region does not have is an error
    /// ([`CallError::Misconfigured`]), which says which.
    pub async fn machine_types(&self, names: &[String]) -> Result<Vec<MachineType>, CallError> {
        let watch = Watch::new();
        let wanted = names.iter().map(|name| InstanceType::from(name.as_str())).collect();
        let call = self.client.describe_instance_types().set_instance_types(Some(wanted));
        let sent = call.customize().interceptor(watch.interceptor()).send().await;
        let told = sent.map_err(|error| watch.error("DescribeInstanceTypes", &error))?;
        Ok(told.instance_types().iter().map(MachineType::read).collect())
    }
}

impl MachineType {
    fn read(told: &types::InstanceTypeInfo) -> Self {
        let architectures = told.processor_info().map(types::ProcessorInfo::supported_architectures);
        let vcpus = told.v_cpu_info().and_then(types::VCpuInfo::default_v_cpus);
        let memory = told.memory_info().and_then(types::MemoryInfo::size_in_mib);
        Self {
            name: told.instance_type().map_or_else(String::new, |name| name.as_str().to_owned()),
            architectures: architectures
                .unwrap_or_default()
                .iter()
                .map(|word| Architecture::read(word.as_str()))
                .collect(),
            vcpus: vcpus.and_then(|count| count.try_into().ok()).unwrap_or_default(),
            memory_mib: memory.and_then(|size| size.try_into().ok()).unwrap_or_default(),
        }
    }
}
