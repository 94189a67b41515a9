"""A page about a run, or about several: one HTML file that loads nothing and runs nothing.

`write` makes the file. `run_contents` and `comparison_contents` gather what a page says, as plain
data: `learning` has the learning curves, `scored` what comes from the run's images, `network` what
comes from its weights, and `settings` its configuration. `pictures` draws with Matplotlib, `svg`
makes a drawing a part of a page, and `render` fills the templates with Jinja2. The extra `report`
installs both libraries.
"""
