// What makes a box of widgets a panel: while the focus is in it, a plain key belongs to it. JupyterLab and Notebook 7
// would else take "d d" on one of its buttons for "delete the cell", and the panel would be gone. Keys with Ctrl, Alt or
// Meta are left to them, so that the notebook can still be saved.

// Lumino's word for elements that have no shortcuts. It must stand on the element that has the focus, which their
// selectors match; stopping the event would be too late, since Notebook 7 takes it before it reaches the panel.
const SUPPRESS = "data-lm-suppress-shortcuts";

const FOLD = ".jupyter-widget-Collapse-header";

// What ipywidgets leaves out: its folded groups know the mouse alone, and a list without a label has no name.
function makeReachable(panel) {
  for (const list of panel.querySelectorAll("select[title]:not([aria-label]), [title] > select:not([aria-label])")) {
    list.setAttribute("aria-label", list.title || list.parentElement.title);
  }
  for (const header of panel.querySelectorAll(FOLD)) {
    const isOpen = String(header.parentElement.classList.contains("jupyter-widget-Collapse-open"));
    if (header.tabIndex !== 0) header.tabIndex = 0;
    if (header.getAttribute("role") !== "button") header.setAttribute("role", "button");
    if (header.getAttribute("aria-expanded") !== isOpen) header.setAttribute("aria-expanded", isOpen);
  }
}

const isShown = (element) => element.isConnected && element.getClientRects().length > 0;

// A pressed button may be taken away with its question, or blocked: the focus would fall to the page, and whoever has
// no mouse would have to find the place again. It goes to the nearest box around it that is still there.
function keepFocus(trail) {
  const [last, ...around] = trail;
  const active = document.activeElement;
  if (!last || (active !== document.body && active !== last) || (isShown(last) && !last.disabled)) return;
  const box = around.find(isShown);
  if (!box) return;
  if (!box.hasAttribute("tabindex")) box.tabIndex = -1;
  box.focus({ preventScroll: true });
}

function render({ model, el }) {
  const panelOf = () => el.closest(`.${model.get("panel_class")}`);
  let trail = []; // from what was last used in the panel up to the panel; empty once the user is elsewhere
  const follow = (event) => {
    const path = event.composedPath();
    trail = path.slice(0, path.indexOf(panelOf()) + 1);
  };
  const keep = (event) => {
    if (!panelOf()?.contains(event.target)) return;
    event.target.toggleAttribute(SUPPRESS, !event.ctrlKey && !event.altKey && !event.metaKey);
    if (event.target.matches(FOLD) && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      event.target.click();
    }
  };
  // Before anybody else: windows come first when an event is captured.
  window.addEventListener("keydown", keep, true);
  window.addEventListener("focusin", follow, true);
  window.addEventListener("pointerdown", follow, true);
  const observer = new MutationObserver(() => {
    if (!panelOf()) return;
    makeReachable(panelOf());
    keepFocus(trail);
  });
  requestAnimationFrame(() => {
    const panel = panelOf();
    if (!panel) return;
    makeReachable(panel);
    const attributeFilter = ["class", "disabled", "style"];
    observer.observe(panel, { subtree: true, childList: true, attributes: true, attributeFilter });
  });
  return () => {
    window.removeEventListener("keydown", keep, true);
    window.removeEventListener("focusin", follow, true);
    window.removeEventListener("pointerdown", follow, true);
    observer.disconnect();
  };
}

export default { render };
