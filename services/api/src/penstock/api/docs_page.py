"""The page at `/docs`: it reads the OpenAPI document and shows it, with no file from elsewhere."""

from base64 import b64encode
from hashlib import sha256

SCRIPT = """
const make = (tag, text, kind) => {
  const element = document.createElement(tag);
  if (text) element.textContent = text;
  if (kind) element.className = kind;
  return element;
};
const nameOf = (schema) => {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.type === "array") return nameOf(schema.items) + "[]";
  return [schema.type || "any"].flat().join(" | ");
};
const bodyOf = (holder) =>
  Object.values((holder && holder.content) || {}).map((each) => nameOf(each.schema)).join(", ");
const row = (name, says) => {
  const line = make("tr");
  line.append(make("th", name), make("td", says));
  return line;
};
const operation = (path, method, what) => {
  const box = make("details");
  const head = make("summary");
  head.append(make("b", method.toUpperCase(), method), make("code", path));
  head.append(make("span", what.description || what.summary || ""));
  const table = make("table");
  if (what["x-permission"]) table.append(row("permission", what["x-permission"]));
  for (const each of what.parameters || [])
    table.append(row(each.in + " " + each.name, nameOf(each.schema)));
  if (what.requestBody) table.append(row("body", bodyOf(what.requestBody)));
  for (const [status, answer] of Object.entries(what.responses || {}))
    table.append(row(status, bodyOf(answer) || answer.description || "problem"));
  box.append(head, table);
  return box;
};
fetch("/api/openapi.json").then((answer) => answer.json()).then((api) => {
  document.title = api.info.title;
  const page = document.getElementById("page");
  page.append(make("h1", api.info.title + " " + api.info.version));
  page.append(make("p", api.info.description));
  const groups = {};
  for (const [path, methods] of Object.entries(api.paths))
    for (const [method, what] of Object.entries(methods))
      (groups[(what.tags || ["other"])[0]] ||= []).push(operation(path, method, what));
  for (const [name, boxes] of Object.entries(groups)) page.append(make("h2", name), ...boxes);
  page.append(make("h2", "shapes"));
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    const box = make("details");
    box.id = name;
    box.append(make("summary", name), make("pre", JSON.stringify(schema, null, 2)));
    page.append(box);
  }
});
"""

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1c2430; background: #fff; }
details { border: 1px solid #d5dbe3; border-radius: 6px; margin: .4rem 0; padding: .4rem .8rem; }
summary { cursor: pointer; }
summary b { display: inline-block; min-width: 4.5rem; color: #0b5cad; }
summary code { margin-right: 1rem; }
summary span { color: #5a6675; }
.delete { color: #b3261e; } .post { color: #146c2e; } .put, .patch { color: #8a5a00; }
th { text-align: left; font-weight: 600; padding-right: 1.5rem; vertical-align: top; }
pre { overflow: auto; background: #f4f6f8; padding: .8rem; border-radius: 6px; }
"""

PAGE = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Penstock</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{STYLE}</style></head>
<body><main id="page"></main><script type="module">{SCRIPT}</script></body>
</html>
"""


def allowed(text: str) -> str:
    """What a content policy says of an inline script or style that is exactly `text`."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


CONTENT_POLICY = (
    f"default-src 'none'; script-src {allowed(SCRIPT)}; style-src {allowed(STYLE)}; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""Only this very script and style, and requests to ourselves."""
