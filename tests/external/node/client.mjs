// The real GitHub client, pointed at a gateway: GATEWAY_URL is its base, GATEWAY_TOKEN the only credential it has.
// Prints one JSON object: what it listed and what it created, or the status it was refused with (exit 1).
import { Octokit } from "octokit";

const octokit = new Octokit({
  baseUrl: process.env.GATEWAY_URL,
  auth: process.env.GATEWAY_TOKEN,
  retry: { enabled: false },
  throttle: { enabled: false },
  log: { debug() {}, info() {}, warn() {}, error() {} },
});
// The description declares application/json; octokit's own default names the older vendor type.
const repository = { owner: "octocat", repo: "hello-world", headers: { accept: "application/json" } };

try {
  const listed = await octokit.rest.issues.listForRepo({ ...repository, per_page: 2 });
  const created = await octokit.rest.issues.create({ ...repository, title: "Found a bug", body: "It does not work." });
  console.log(JSON.stringify({
    list: { status: listed.status, titles: listed.data.map((issue) => issue.title) },
    create: { status: created.status, number: created.data.number, title: created.data.title },
  }));
} catch (error) {
  console.log(JSON.stringify({ status: error.status ?? null, message: error.message, answer: error.response?.data ?? null }));
  process.exitCode = 1;
}
