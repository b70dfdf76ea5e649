"""The three template engines: f-string style, Jinja2 and Go. Private; `eino.schema.template` is the way in.

None of them evaluates anything but a template's own text and the variables it is given: no attribute of an object is
read unless its class declares it as data, nothing that a variable holds is called, and what a template may produce
is bounded (`budget`).
"""
