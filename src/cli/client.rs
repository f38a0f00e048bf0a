//! TEMP
#[derive(clap::Args, Debug)]
pub struct ClientArgs {}
pub async fn run(_: ClientArgs, _: &crate::config::Config) -> anyhow::Result<()> {
    Ok(())
}
