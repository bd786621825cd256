// An input for a key. What is typed lives in this element alone until it is left, or Enter is pressed; then it goes to
// the kernel once, as the bytes of one custom message, and is forgotten here. It is never a part of the widget's state,
// which front ends save, and never of a message's content, which kernels write to their logs.

function render({ model, el }) {
  const label = document.createElement("label");
  const input = document.createElement("input");
  input.type = "password";
  input.autocomplete = "off";
  input.spellcheck = false;
  input.className = "ccw-secret-input";
  label.className = "widget-label";
  label.append(document.createElement("span"), input);

  const show = () => {
    label.firstChild.textContent = model.get("label");
    input.placeholder = model.get("shown");
    input.disabled = model.get("disabled");
    input.title = model.get("hint");
  };
  const send = () => {
    if (input.value === "") return;
    const bytes = new TextEncoder().encode(input.value);
    input.value = "";
    model.send({ kind: "typed" }, undefined, [bytes.buffer]);
  };

  input.addEventListener("change", send);
  model.on("change", show);
  show();
  el.classList.add("ccw-secret");
  el.append(label);
  return () => {
    input.value = "";
    model.off("change", show);
  };
}

export default { render };
