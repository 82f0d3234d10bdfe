//! Plots, HTML, Markdown and exports made from run files.
