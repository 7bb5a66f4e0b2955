// The real GitHub client, pointed at a gateway: GATEWAY_URL is its base, GATEWAY_TOKEN the only credential it has.
// Prints one JSON object: the outcome of each call, its status and what was seen of the answer.
import { Octokit, RequestError } from "octokit";

const octokit = new Octokit({
  baseUrl: process.env.GATEWAY_URL,
  auth: process.env.GATEWAY_TOKEN,
  retry: { enabled: false },
  throttle: { enabled: false },
  log: { debug() {}, info() {}, warn() {}, error() {} },
});
// The description declares application/json; octokit's own default names the older vendor type.
const headers = { accept: "application/json" };
const ours = { owner: "octocat", repo: "hello-world", headers };
const theirs = { ...ours, owner: "somebody-else" };

const issues = octokit.rest.issues;
const calls = {
  list: () => issues.listForRepo({ ...ours, per_page: 2, labels: "bug,ui: wide" }),
  create: () => issues.create({ ...ours, title: "Found a bug", body: "It does not work. Größe: 5 \u{1F600}" }),
  get: () => issues.get({ ...ours, issue_number: 42 }),
  theirs: () => issues.listForRepo(theirs),
  unmocked: () => octokit.rest.issues.listLabelsForRepo(ours),
  unrouted: () => octokit.rest.repos.get(ours),
};

// octokit decodes application/json only, not problem+json.
function decoded(data) {
  if (data instanceof ArrayBuffer) return JSON.parse(new TextDecoder().decode(data));
  return typeof data === "string" ? JSON.parse(data) : data;
}

const outcomes = {};
for (const [name, call] of Object.entries(calls)) {
  try {
    const { status, data } = await call();
    outcomes[name] = { status, titles: (Array.isArray(data) ? data : [data]).map((issue) => issue.title) };
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    const { type } = decoded(error.response.data);
    outcomes[name] = { status: error.status, type, request_id: error.response.headers["x-request-id"] };
  }
}
console.log(JSON.stringify(outcomes));
