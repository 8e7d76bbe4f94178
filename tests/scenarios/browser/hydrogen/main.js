// Hydrogen whole: the SDK exports the view of the root, from which all others hang.
import { FeatureSet, RootViewModel, createNavigation, createRouter } from "hydrogen-view-sdk";
import { platform } from "./platform.js";

const navigation = createNavigation();
platform.setNavigation(navigation);
await platform.init();
const urlRouter = createRouter({ navigation, history: platform.history });
urlRouter.attach();
const features = await FeatureSet.load(platform.settingsStorage);
const root = new RootViewModel({ platform, urlRouter, navigation, features });
await root.load();
platform.createAndMountRootView(root);
