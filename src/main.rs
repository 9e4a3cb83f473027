fn main() -> anyhow::Result<()> {
    job_orchestrator::mode::keep::run()
}
