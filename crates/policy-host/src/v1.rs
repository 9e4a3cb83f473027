//! Version 1 of the interface: the generated types, and the way between them and the domain's. They end here.

pub(crate) mod quota {
    wasmtime::component::bindgen!({ path: "../../plugins/wit/v1", world: "quota" });
}

pub(crate) mod routing {
    wasmtime::component::bindgen!({
        path: "../../plugins/wit/v1",
        world: "routing",
        with: { "job-orchestrator:policy/settings": super::quota::job_orchestrator::policy::settings },
    });
}

pub(crate) mod scaling {
    wasmtime::component::bindgen!({
        path: "../../plugins/wit/v1",
        world: "scaling",
        with: { "job-orchestrator:policy/settings": super::quota::job_orchestrator::policy::settings },
    });
}

mod convert;

pub(crate) use convert::{
    description, quota_answer, quota_input, routing_answer, routing_input, scaling_answer, scaling_input, settings,
};
pub(crate) use quota::job_orchestrator::policy::settings::Setting;
