"""The words of the frame, of several pages and of the report in Simplified Chinese."""

from collections.abc import Mapping
from typing import Final

__all__ = ["WORDS"]

WORDS: Final[Mapping[str, str]] = {
    # The frame.
    "page_crowd": "人群",
    "page_audience": "人群包",
    "page_roi": "投资回报（T+x）",
    "page_cycles": "决策周期",
    "page_quality": "模型质量",
    "page_playbook": "策略手册",
    "sign_in_title": "登录",
    "sign_in": "登录",
    "sign_out": "退出登录",
    "signed_in_as": "当前用户：{name}",
    "name": "用户名",
    "password": "密码",
    "wrong_password": "用户名或密码不正确。",
    "wait": "密码错误次数过多，请在 {seconds} 秒后重试。",
    "cannot": "无法显示。原因与解决办法如下：",
    # Words of several pages.
    "days": "{x} 天",
    "day": "日期",
    "stage": "阶段",
    "brand": "品牌",
    "horizon": "时间范围",
    "pairs": "对",
    "money": "按日志中的货币",
    "buyers": "购买者",
    "sales": "销售额",
    "interval": "80% 区间：{low} 至 {high}",
    "interval_80": "80% 区间",
    "as_table": "查看表格",
    "no_census": "当前日志尚无人群统计，请运行以下命令生成：",
    "no_scores": "尚无预测结果，请运行以下命令，对某一天的全部用户—品牌对打分：",
    "no_champion": "尚无生效的模型版本，请先训练，再发布：",
    # Stages of the shipped stage models.
    "stage_none": "无阶段",
    "stage_awareness": "认知",
    "stage_interest": "兴趣",
    "stage_true_interest": "真实兴趣",
    "stage_purchase": "购买",
    "stage_share": "分享",
    "stage_sympathize": "共鸣",
    "stage_identify": "确认",
    "stage_participate": "参与",
    "stage_loyalty": "忠诚",
    "stage_a1": "A1 了解",
    "stage_a2": "A2 吸引",
    "stage_a3": "A3 问询",
    "stage_a4": "A4 行动",
    "stage_a5": "A5 拥护",
    "stage_aware": "认知",
    "stage_appeal": "吸引",
    "stage_act": "行动",
    "stage_advocate": "拥护",
    # The report.
    "report_day": "截至 {day} 零点（{zone}）",
    "report_release": "预测版本 {release}",
    "report_no_release": "该日没有预测",
    "report_stage_model": "阶段模型 {model}",
    "report_parts": "本报告内容",
    "needs_script": "图表由可运行脚本的浏览器绘制：请保存本文件后用浏览器打开。表格不受影响。",
    "no_picture": "此浏览器无法绘制图表，请使用较新的版本。",
    "all_horizons_note": "{day} 之后相应天数结束时各阶段的对数，以及期间购买的对数与销售额"
    "（日志货币）；数字下方为 80% 区间，包含尚未出现的新增对。",
    "in_between": "{low} 至 {high}",
    "earlier_all_note": "把 {x} 天前的预测叠加在其所指日期的实际统计上；竖线为 80% 区间，"
    "全部阶段的 {n} 个区间中有 {held} 个包含实际结果。",
    "report_tiers_note": "按 {day} 之后 {x} 天内的购买概率对该品牌已打分用户分层，"
    "模型版本 {release}；已退出的用户不计入任何数字，金额为日志货币。",
    "tier_rates": "各层级购买率",
    "all_scored": "全部已打分用户",
    "of_one_brand": "分层针对单个品牌，请运行以下命令生成该品牌的报告：",
    "cycles_not_kept": "当前日志的决策周期尚未保留。第一条命令可直接查看；"
    "在第二条命令打开的“决策周期”页面计算后，报告即可显示：",
    "more_categories": "另有 {n} 个购买者较少的品类。",
    "no_category": "该品牌没有所属品类，因此没有自己的决策周期。",
    "returns_note": "触达该人群且结果已保留的最新活动；T 为每对的首次触达，金额为日志货币。",
    "returns_not_kept": "尚未保留与该人群有关的活动回报。第一条命令可直接查看；"
    "在第二条命令打开的“投资回报”页面计算后，报告即可显示：",
    "begun": "开始日期",
    "as_of": "截至",
    "roi": "投资回报率",
}
