// What starlette-admin's templates wrote into attributes, and the page of an act that waits for its worker.
document.querySelectorAll('[data-admin-hook="apply-columns"]').forEach((button) => {
  button.addEventListener("click", () => window.applyColumnVisibility());
});
document.querySelectorAll('[data-admin-hook="go-to-value"]').forEach((select) => {
  select.addEventListener("change", () => window.location.assign(select.value));
});
// A row that leads to its page does so by keys as well.
document.querySelectorAll("tr[data-sa-href]").forEach((row) => {
  row.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target === row) window.location.assign(row.dataset.saHref);
  });
});
// A box that scrolls has to be reached by keys as well.
document.querySelectorAll(".table-responsive").forEach((box) => {
  box.tabIndex = 0;
});
if (document.querySelector("[data-admin-waits]")) {
  setTimeout(() => window.location.reload(), 1000);
}
// The page of exports shows itself anew while one is being written; whoever is at a link there stays at it.
const exported = document.querySelector("[data-admin-exports]");
async function showExports() {
  const answer = await fetch(exported.dataset.adminExports);
  if (!answer.ok || answer.redirected) return;
  const at = document.activeElement?.closest("tr")?.id;
  exported.innerHTML = await answer.text();
  if (at) document.getElementById(at)?.querySelector("a[aria-label]")?.focus();
  followExports();
}
function followExports() {
  if (exported?.querySelector("[data-admin-open]")) setTimeout(() => showExports().catch(followExports), 2000);
}
followExports();
// Every page tells of exports that are ready, and asks again as long as one is being written.
const newsPlace = document.getElementById("content");
const told = document.createElement("div");
function tell(ready) {
  const news = ready.map(({ title, url }) => {
    const line = document.createElement("div");
    const link = document.createElement("a");
    line.className = "alert alert-success";
    link.href = url;
    link.textContent = "Download it";
    line.append(`Your export of ${title} is ready. `, link);
    return line;
  });
  told.replaceChildren(...news);
}
async function askForNews() {
  const answer = await fetch("/admin/exports/news");
  if (!answer.ok || answer.redirected) return;
  const news = await answer.json();
  tell(news.ready);
  if (news.unfinished) setTimeout(() => askForNews().catch(() => {}), 5000);
}
if (newsPlace && document.querySelector("aside.navbar")) {
  told.id = "admin-news";
  told.setAttribute("role", "status");
  newsPlace.prepend(told);
  askForNews().catch(() => {});
}
