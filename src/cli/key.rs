//! TEMP
#[derive(clap::Args, Debug)]
pub struct KeyArgs {}
pub async fn run(_: KeyArgs, _: &crate::config::Config) -> anyhow::Result<()> {
    Ok(())
}
