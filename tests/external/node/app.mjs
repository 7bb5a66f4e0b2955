// GitHub's own library for apps, pointed at a stand-in: GITHUB_URL is its base. Prints one installation token, narrowed.
import { App, Octokit } from "octokit";

const app = new App({
  appId: process.env.APP_ID,
  privateKey: process.env.APP_KEY,
  Octokit: Octokit.defaults({ baseUrl: process.env.GITHUB_URL, retry: { enabled: false }, throttle: { enabled: false } }),
});
const { token, permissions } = await app.octokit.auth({
  type: "installation",
  installationId: Number(process.env.INSTALLATION),
  repositoryNames: ["hello-world"],
  permissions: { issues: "read" },
});
console.log(JSON.stringify({ token, permissions }));
