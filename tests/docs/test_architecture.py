"""The page on the architecture shows where the code is."""


def test_the_lines_along_each_path_are_right(extension):
    hops = extension("hops")
    page = hops.PAGE.read_text(encoding="utf-8")
    assert hops.with_tables(page) == page, "run: python docs/_ext/hops.py"
