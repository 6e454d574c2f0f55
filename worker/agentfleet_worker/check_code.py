"""`python -m agentfleet_worker.check_code`: tries what manifests name before a task does.

Reads `{"functions": [path…], "tools": [path…]}` on stdin, writes a JSON list of sentences, one for each
`module:function` that a worker in this place could not load. A process of its own, since an import runs code.
"""

import json
import os
import sys

from agentfleet_core.errors import CodeMissing
from agentfleet_worker.running.code import Code


def missing(functions: list[str], tools: list[str]) -> list[str]:
    code, found = Code(), []
    for load, paths in ((code.function, functions), (code.tool, tools)):
        for path in paths:
            try:
                load(path)
            except CodeMissing as error:
                found.append(str(error))
    return found


def main() -> None:
    asked = json.load(sys.stdin)
    # What users' code prints while it is imported is not part of the answer.
    with os.fdopen(os.dup(1), "w") as answer:
        os.dup2(2, 1)
        json.dump(missing(asked["functions"], asked["tools"]), answer)


if __name__ == "__main__":
    main()
