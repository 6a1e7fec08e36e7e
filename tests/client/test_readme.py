"""The Python program in the README runs, and prints what the comments say."""

import contextlib
import io
import pathlib
import re


def test_the_tour_in_python(url):
    readme = (pathlib.Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```", readme, re.DOTALL | re.MULTILINE)
    expected = re.findall(r"# → (.*)$", program, re.MULTILINE)
    assert expected

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program.replace("http://127.0.0.1:8702", url), "README.md", "exec"), {"__name__": "tour"})

    assert printed.getvalue().splitlines() == expected
