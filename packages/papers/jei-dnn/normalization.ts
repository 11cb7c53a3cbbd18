/** Channel statistics of CIFAR-10's training pictures, as the paper's release has them. */
export const normalization = {
  mean: [0.4914, 0.4822, 0.4465],
  std: [0.24703, 0.24348, 0.26158],
} as const;
