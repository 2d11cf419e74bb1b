// bayescnn/models: the published architectures as functions of a traced image, and the kit of parts that they are built from.

export { alexnet } from "./alexnet.ts";
export { conv3fc3 } from "./conv3fc3.ts";
export { type DcganGeneratorOptions, type DcganOptions, dcganDiscriminator, dcganGenerator } from "./dcgan.ts";
export { espcn } from "./espcn.ts";
export { type Activation, type Kit, type KitOptions, kit, type Norm } from "./kit.ts";
export { lenet5, lenet5Caffe } from "./lenet5.ts";
export { mobilenet } from "./mobilenet.ts";
export { type ResnetOptions, resnet, resnet18, resnet20 } from "./resnet.ts";
export { vgg11, vgg16 } from "./vgg.ts";
