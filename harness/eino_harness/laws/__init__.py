"""Laws that every graph should keep, to check on a graph of your own: `check_graph(make_graph, inputs=...)`.

    def test_my_graph_keeps_the_laws():
        check_graph(make_graph, inputs=st.text(max_size=20))

`LAWS` has them by name. Needs the extra `testing`.
"""

from eino_harness.laws._check import LawReport, LawsBrokenError, check_graph
from eino_harness.laws._laws import LAWS
from eino_harness.laws._subject import BrokenLaw, Law, LawName

__all__ = ["LAWS", "BrokenLaw", "Law", "LawName", "LawReport", "LawsBrokenError", "check_graph"]
