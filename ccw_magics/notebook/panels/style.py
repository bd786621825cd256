"""How the panel looks: one style sheet on JupyterLab's own colours, and texts as HTML."""

from __future__ import annotations

from html import escape
from typing import Final

CLASS: Final = "ccw-panel"
"""Of the panel's outermost element; everything below hangs on it."""

SHEET: Final = """<style>
.ccw-panel {
  --ccw-text: var(--jp-ui-font-color1, var(--vscode-editor-foreground, inherit));
  --ccw-faint: var(--jp-ui-font-color2, var(--vscode-descriptionForeground, #616161));
  --ccw-line: var(--jp-border-color2, var(--vscode-panel-border, #bdbdbd));
  --ccw-box: var(--jp-layout-color2, var(--vscode-textCodeBlock-background, transparent));
  --ccw-wrong: var(--jp-error-color1, var(--vscode-errorForeground, #c62828));
  --ccw-right: var(--jp-success-color1, var(--vscode-testing-iconPassed, #2e7d32));
  --ccw-doubt: var(--jp-warn-color1, var(--vscode-editorWarning-foreground, #b26a00));
  --ccw-mark: var(--jp-brand-color1, var(--vscode-focusBorder, #1976d2));
  color: var(--ccw-text); max-width: 1100px;
}
.ccw-panel .widget-html-content, .ccw-panel .jupyter-widget-html-content { line-height: 1.4; overflow-wrap: anywhere; }
.ccw-panel .ccw-wrong { color: var(--ccw-wrong); }
.ccw-panel .ccw-right { color: var(--ccw-right); }
.ccw-panel .ccw-doubt { color: var(--ccw-doubt); }
.ccw-panel .ccw-faint { color: var(--ccw-faint); }
.ccw-panel pre.ccw-code {
  background: var(--ccw-box); color: var(--ccw-text); border: 1px solid var(--ccw-line); padding: 6px 8px;
  margin: 2px 0; overflow-x: auto; font-family: var(--jp-code-font-family, monospace); user-select: all;
}
.ccw-panel .ccw-notice { border-left: 3px solid var(--ccw-doubt); padding: 2px 8px; margin: 4px 0; }
.ccw-panel .ccw-scroll { overflow: auto; max-height: 360px; border: 1px solid var(--ccw-line); }
.ccw-panel :is(button, input, select, textarea, summary):focus-visible {
  outline: 2px solid var(--ccw-mark); outline-offset: 1px;
}
.ccw-panel select option:checked { font-weight: bold; }
</style>"""


def said(text: str, kind: str = "") -> str:
    """A text as HTML, line breaks kept.

    Args:
        text: Plain text; it is escaped.
        kind: `wrong`, `right`, `doubt`, `faint`, or empty for the ordinary colour.
    """
    body = escape(text).replace("\n", "<br>")
    return f'<span class="ccw-{kind}">{body}</span>' if kind else f"<span>{body}</span>"


def live(body: str) -> str:
    """HTML that a screen reader reads out when it changes."""
    return f'<div role="status" aria-live="polite">{body}</div>'


def code(text: str) -> str:
    """A text to be copied: one click selects it all."""
    return f'<pre class="ccw-code" tabindex="0">{escape(text)}</pre>'
