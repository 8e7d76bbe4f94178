// What Hydrogen has no view for: its registration, stage by stage, and the session that comes of it.
import { Client, LoadStatus, createNavigation } from "hydrogen-view-sdk";
import { platform } from "./platform.js";

platform.setNavigation(createNavigation());
await platform.init();
const form = document.querySelector("form");
const status = document.querySelector("[role=status]");

const register = async ({ homeserver, username, password }) => {
  const client = new Client(platform);
  const registration = await client.startRegistration(homeserver, username, password, "Hydrogen");
  const stages = [];
  for (let stage = await registration.start(); stage; stage = await registration.submitStage(stage)) {
    stages.push(stage.type);
  }
  await client.startWithAuthData(registration.authData);
  await client.loadStatus.waitFor((one) => one === LoadStatus.Ready || one === LoadStatus.Error).promise;
  if (client.loadError) throw client.loadError;
  status.textContent = `You are ${registration.authData.userId}; asked for: ${stages.join(", ")}.`;
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  status.textContent = "";
  try {
    await register(Object.fromEntries(new FormData(form)));
  } catch (error) {
    status.textContent = `${error.errcode ?? error.name}: ${error.message}`;
  }
});
form.querySelector("button").disabled = false;
