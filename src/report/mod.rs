//! Plots, HTML, Markdown and exports made from run files.

pub mod terminal;
/// t
pub struct Written(Vec<std::path::PathBuf>);
impl Written {
    /// t
    pub fn files(&self) -> &[std::path::PathBuf] {
        &self.0
    }
    /// t
    pub fn index(&self) -> &std::path::Path {
        &self.0[0]
    }
}
/// t
pub fn write(_: &[crate::run::schema::RunFile], _: &std::path::Path) -> anyhow::Result<Written> {
    anyhow::bail!("x")
}
